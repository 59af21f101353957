//! A candidate that waits for approvals, gates and times, while requests are answered.

use super::{Ended, Leading};
use crate::domain::lifecycle::state::State;
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::operations::daemon::request::Declined;
use crate::operations::daemon::status::{Activity, DeploymentStatus};
use crate::operations::deployment::promotion::{self, Approver, Gates, NotApproved};
use std::time::Duration;

/// What follows for what waits.
#[derive(Debug)]
pub(super) enum Next {
    /// It is promoted now.
    Promote,
    /// It ends.
    End,
    /// It waits; when it is to be looked at again at the latest, where there is something to look at.
    Wait(Option<Duration>),
}

impl Leading<'_> {
    /// Looks how a candidate stands, asks the gates that are due, and records what is new.
    pub(super) async fn candidate(&mut self, deployment: &Deployment) -> Result<Next, Ended> {
        if deployment.state != State::Ready || deployment.request.conditions.is_empty() {
            return Ok(Next::Wait(None));
        }
        let look = match promotion::look(self.store, deployment, false).await {
            Ok(Some(look)) => look,
            Ok(None) => return Ok(Next::Wait(None)),
            Err(error) => {
                self.trouble(&error).await?;
                return Ok(Next::Wait(Some(Duration::ZERO)));
            }
        };
        let asks = look.asks_now(deployment);
        if asks {
            self.ask_gates(deployment, &look).await?;
        }
        let looked = async {
            let again = match asks {
                true => promotion::look(self.store, deployment, false).await?,
                false => None,
            };
            let look = again.unwrap_or(look);
            let after = look.tell(self.store, self.lead, deployment).await?;
            Ok::<_, crate::adapters::store::StoreError>((look, after))
        };
        let (look, after) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                self.trouble(&error).await?;
                return Ok(Next::Wait(Some(Duration::ZERO)));
            }
        };
        let missing = look.missing_approvals();
        let environment = &self.worker.environment;
        self.worker.metrics.approvals_missing(environment, missing);
        let activity = match look.is_up_to_a_person() {
            true => Activity::WaitingForPromotion,
            // It goes on by itself.
            false => Activity::Releasing,
        };
        let standing = look.standing.clone();
        self.worker.change(|status| {
            status.activity = activity;
            status.promotion = Some(standing);
            if let Some(after) = &after {
                status.deployment = Some(DeploymentStatus::of(after));
            }
        });
        Ok(match (look.is_decided(), look.ends()) {
            (_, Some(_)) => Next::End,
            (true, None) => Next::Promote,
            (false, None) => Next::Wait(Some(look.pause(deployment))),
        })
    }

    /// Asks the gates that are due. A request that is acted on interrupts it, and they are asked anew.
    async fn ask_gates(
        &mut self,
        deployment: &Deployment,
        look: &promotion::Look,
    ) -> Result<(), Ended> {
        let release = match self.worker.open().await {
            Ok(release) => release,
            Err(error) => return self.trouble(&error).await,
        };
        let stop = self.worker.stop.child_token();
        let (reporter, news) = Reporter::channel();
        let (store, lead) = (self.store, self.lead);
        let http = &release.settings.http;
        let address = http.address(http.listen);
        let ask = async {
            let gates = Gates {
                store,
                lead,
                address: address.as_deref(),
                base: release.base(),
                reporter: &reporter,
            };
            tokio::select! {
                asked = gates.ask_due(deployment, look) => asked.map(|_| ()),
                () = stop.cancelled() => Ok(()),
            }
        };
        match self.beside(ask, news, &stop, &deployment.id).await {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) => self.trouble(&error).await,
        }
    }

    /// Approves what is ready, or only says what that would do.
    pub(super) async fn approve(
        &self,
        deployment: &Deployment,
        approver: &Approver,
        is_dry: bool,
    ) -> Result<String, Declined> {
        let approved = promotion::approve(self.store, deployment, approver, is_dry);
        approved.await.map_err(|error| match error {
            NotApproved::Refused(_) => Declined::NotNow {
                reason: error.to_string(),
                state: deployment.state,
            },
            NotApproved::Store(error) => Declined::Store(error.to_string()),
        })
    }

    /// Why a candidate may not be promoted, although somebody asks.
    pub(super) async fn barred(&self, deployment: &Deployment) -> Result<Option<String>, Declined> {
        let look = promotion::look(self.store, deployment, true).await;
        let look = look.map_err(|error| Declined::Store(error.to_string()))?;
        Ok(look.and_then(|look| look.bars()))
    }
}
