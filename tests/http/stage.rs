//! What a worker of [`STAGE`] would answer.

use super::{STAGE, show, tell};
use cutover::domain::lifecycle::state::{Asker, State};
use cutover::domain::lifecycle::verb::Verb;
use cutover::domain::progress::Progress;
use cutover::domain::records::hold::Hold;
use cutover::operations::daemon::Daemon;
use cutover::operations::daemon::request::{Accepted, Command, Declined};
use cutover::operations::daemon::status::Status;
use jiff::Timestamp;

/// What a worker would answer, judged by the deployment on the board.
pub fn on_stage(daemon: &Daemon, command: Command) -> Result<Accepted, Declined> {
    let accepted = |deployment: Option<String>, would: String| Accepted {
        environment: STAGE.to_owned(),
        run: None,
        deployment,
        would,
        corner: None,
    };
    match command {
        Command::Start(start) => Ok(accepted(None, start.would("plan and release"))),
        Command::DryRun(command) => match *command {
            Command::Act { verb, .. } => {
                let (id, state) = on_board(daemon)?;
                judged(verb, state)?;
                Ok(accepted(Some(id), verb.would(state)))
            }
            Command::Hold { .. } => Ok(accepted(None, "swap nothing".to_owned())),
            Command::LiftHold { .. } => Ok(accepted(None, "lift what holds it".to_owned())),
            command @ (Command::Start(_)
            | Command::Approve { .. }
            | Command::Corner(_)
            | Command::DryRun(_)) => on_stage(daemon, command),
        },
        Command::Act { verb, .. } => {
            let (id, state) = on_board(daemon)?;
            judged(verb, state)?;
            let next = match verb {
                Verb::Promote => State::Soaking,
                Verb::Rollback | Verb::ForceRollback | Verb::RollbackAndHold => State::RollingBack,
                Verb::Abort => State::Unwinding,
                Verb::Resume => State::CuttingOver,
                Verb::Cleanup => State::CleaningUp,
            };
            let at = show(daemon, STAGE, &id, next);
            let progress = Progress::State {
                deployment: id.clone(),
                state: next,
            };
            tell(daemon, &id, at, progress);
            Ok(accepted(Some(id), verb.would(state)))
        }
        Command::Approve { approver, .. } => {
            let (id, _) = on_board(daemon)?;
            let would = format!("approve the deployment {id} as {}", approver.subject);
            Ok(accepted(Some(id), would))
        }
        Command::Hold {
            reason,
            until,
            subject,
        } => {
            let hold = Hold {
                environment: STAGE.to_owned(),
                deployment: None,
                reason,
                since: Timestamp::now(),
                until,
                by: subject,
                cause: None,
                lifted_by: None,
                before: None,
            };
            let show = |status: &mut Status| status.held = Some(hold);
            daemon.status_board.change(STAGE, show);
            Ok(accepted(None, "swap nothing".to_owned()))
        }
        Command::LiftHold { .. } => {
            daemon
                .status_board
                .change(STAGE, |status| status.held = None);
            Ok(accepted(None, "lift what holds it".to_owned()))
        }
        Command::Corner(_) => Err(Declined::NoRepository(STAGE.to_owned())),
    }
}

fn on_board(daemon: &Daemon) -> Result<(String, State), Declined> {
    let status = daemon.status_board.one(STAGE);
    let deployment = status.and_then(|status| status.deployment.clone());
    let deployment = deployment.ok_or_else(|| Declined::NoDeployment(STAGE.to_owned()))?;
    Ok((deployment.id, deployment.state))
}

fn judged(verb: Verb, state: State) -> Result<(), Declined> {
    let judged = verb.event(state, Asker::Api);
    judged.map(|_| ()).map_err(|error| Declined::NotNow {
        reason: error.to_string(),
        state,
    })
}
