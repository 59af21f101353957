//! `hold` and `release`, asked of a daemon.

use super::{Remote, view};
use crate::interfaces::api::document::{NewHold, Nothing};
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::console::Output;
use crate::interfaces::console::arguments::{Hold, LiftHold};
use uuid::Uuid;

impl Remote {
    pub(in crate::interfaces::cli) async fn hold(
        &self,
        arguments: &Hold,
        output: &Output,
    ) -> Answer {
        let name = arguments.target.environment.as_ref();
        let environment = self.environment(name).await?.environment;
        let body = NewHold {
            reason: arguments.reason.clone(),
            until: arguments.until.clone(),
        };
        let key = key(arguments.dry_run);
        let answer = self.client.hold(&environment, &body, key.as_deref());
        output.document(&view::AcceptedView(answer.await?));
        Ok(Ending::Success)
    }

    pub(in crate::interfaces::cli) async fn lift(
        &self,
        arguments: &LiftHold,
        output: &Output,
    ) -> Answer {
        let name = arguments.target.environment.as_ref();
        let environment = self.environment(name).await?.environment;
        let key = key(arguments.dry_run);
        let answer = self
            .client
            .lift_hold(&environment, &Nothing {}, key.as_deref());
        output.document(&view::AcceptedView(answer.await?));
        Ok(Ending::Success)
    }
}

/// The key of what is done; `None`: it is only said what would be.
fn key(is_dry: bool) -> Option<String> {
    (!is_dry).then(|| Uuid::now_v7().to_string())
}
