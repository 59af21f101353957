//! What each command does. The real implementation opens files, the store and the connection; the
//! tests' one only notes what was asked.

use crate::foundation::failure::Class;
use crate::interfaces::console::arguments::approve::Approve;
use crate::interfaces::console::arguments::ci::{
    CiBuild, CiGc, CiList, CiReport, CiState, CiTeardown,
};
use crate::interfaces::console::arguments::diff::Diff;
use crate::interfaces::console::arguments::init::Init;
use crate::interfaces::console::arguments::{
    BaselineExport, BaselineForget, BaselineImport, BaselineShow, Check, Compile, Deploy, Gc,
    History, Hold, LiftHold, Ls, Notify, Plan, Promote, Rollback, Show, Status, Step,
};
use crate::interfaces::console::{CommandError, Output};
use tokio_util::sync::CancellationToken;

/// How a command ended when there is no error to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it was asked; exit code 0.
    Success,
    /// The result that was printed says itself what is wrong (a failed deployment, a fault that
    /// `check` found); only the exit code is left to give.
    Reported(Class),
}

/// What a handler gives back. An error is printed by the caller and by nobody else.
pub type Answer = Result<Ending, CommandError>;

/// One method for each command.
///
/// A handler prints through `output` and ends soon after `stop` is cancelled, at a point from which
/// `cutover resume` goes on, with an error of [`Class::Interrupted`].
#[expect(
    async_fn_in_trait,
    reason = "the futures run on the main thread and need not be Send"
)]
pub trait Handlers {
    /// `cutover init`
    async fn init(&self, arguments: &Init, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover plan`
    async fn plan(&self, arguments: &Plan, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover deploy`
    async fn deploy(&self, arguments: &Deploy, output: &Output, stop: &CancellationToken)
    -> Answer;
    /// `cutover compile`
    async fn compile(
        &self,
        arguments: &Compile,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover promote`
    async fn promote(
        &self,
        arguments: &Promote,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover approve`
    async fn approve(
        &self,
        arguments: &Approve,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover hold`
    async fn hold(&self, arguments: &Hold, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover release`
    async fn lift_hold(
        &self,
        arguments: &LiftHold,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover rollback`
    async fn rollback(
        &self,
        arguments: &Rollback,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover abort`
    async fn abort(&self, arguments: &Step, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover resume`
    async fn resume(&self, arguments: &Step, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover cleanup`
    async fn cleanup(&self, arguments: &Step, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover status`
    async fn status(&self, arguments: &Status, output: &Output, stop: &CancellationToken)
    -> Answer;
    /// `cutover history`
    async fn history(
        &self,
        arguments: &History,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover show`
    async fn show(&self, arguments: &Show, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover diff`
    async fn diff(&self, arguments: &Diff, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover ls`
    async fn ls(&self, arguments: &Ls, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover check`
    async fn check(&self, arguments: &Check, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover notify`
    async fn notify(&self, arguments: &Notify, output: &Output, stop: &CancellationToken)
    -> Answer;
    /// `cutover gc`
    async fn gc(&self, arguments: &Gc, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover ci build`
    async fn ci_build(
        &self,
        arguments: &CiBuild,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover ci report`
    async fn ci_report(
        &self,
        arguments: &CiReport,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover ci list`
    async fn ci_list(
        &self,
        arguments: &CiList,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover ci teardown`
    async fn ci_teardown(
        &self,
        arguments: &CiTeardown,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover ci gc`
    async fn ci_gc(&self, arguments: &CiGc, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover ci state`
    async fn ci_state(
        &self,
        arguments: &CiState,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover serve`
    async fn serve(&self, output: &Output, stop: &CancellationToken) -> Answer;
    /// `cutover baseline show`
    async fn baseline_show(
        &self,
        arguments: &BaselineShow,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover baseline import`
    async fn baseline_import(
        &self,
        arguments: &BaselineImport,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover baseline export`
    async fn baseline_export(
        &self,
        arguments: &BaselineExport,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover baseline forget`
    async fn baseline_forget(
        &self,
        arguments: &BaselineForget,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer;
    /// `cutover config show`
    async fn config_show(&self, output: &Output, stop: &CancellationToken) -> Answer;
}
