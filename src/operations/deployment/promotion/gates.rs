//! Asking gates: all that are due at once, each answer on record before anything follows from it.

use super::{Look, Said, due};
use crate::adapters::probe::{Credentials, Decided, Prober, Question, decided};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::checks::external::Method;
use crate::domain::progress::Reporter;
use crate::domain::promotion::{Answer, Gate};
use crate::domain::records::approval::GateStanding;
use crate::domain::records::deployment::Deployment;
use crate::foundation::environment::Environment;
use crate::foundation::failure::with_causes;
use crate::foundation::secret::SecretRef;
use crate::operations::deployment::checks::credentials;
use crate::operations::saga::context::key;
use futures_util::future::join_all;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::path::Path;

/// What gates are asked with.
#[derive(Debug, Clone, Copy)]
pub struct Gates<'a> {
    /// The journal.
    pub store: &'a Store,
    /// The proof that nobody else works on the environment.
    pub lead: &'a Lead,
    /// Where a daemon answers others, for where the plan is seen.
    pub address: Option<&'a str>,
    /// Where relative paths of secrets begin.
    pub base: &'a Path,
    /// Where news go.
    pub reporter: &'a Reporter,
}

impl Gates<'_> {
    /// Asks every gate that is due, and records what each says. Gives whether one was asked.
    ///
    /// # Errors
    /// The journal's. A gate that does not answer is none.
    pub async fn ask_due(&self, deployment: &Deployment, look: &Look) -> Result<bool, StoreError> {
        let now = Timestamp::now();
        let gates = deployment.request.conditions.gates.iter();
        let gates: Vec<(&Gate, &GateStanding)> = gates
            .zip(&look.standing.gates)
            .filter(|(gate, stands)| {
                let last = stands.asked_at.unwrap_or(now);
                due(stands, gate.interval(), last).is_some_and(|at| at <= now)
            })
            .collect();
        for (gate, stands) in &gates {
            if stands.since.is_none() {
                let key = format!("{}{}", key::GATE, gate.name);
                let intent =
                    json!({ "wait_for": humantime::format_duration(gate.wait_for()).to_string() });
                self.store
                    .begin_effect(self.lead, &deployment.id, &key, &intent)
                    .await?;
            }
        }
        let asking = gates.iter().map(|(gate, _)| self.ask(deployment, gate));
        let said = join_all(asking).await;
        for ((gate, stands), said) in gates.iter().zip(said) {
            if (stands.answer, &stands.says) != (said.answer, &said.says) {
                self.tell(gate, &said);
            }
            let key = format!("{}{}", key::GATE, gate.name);
            self.store
                .finish_effect(self.lead, &deployment.id, &key, &said)
                .await?;
        }
        Ok(!gates.is_empty())
    }

    fn tell(&self, gate: &Gate, said: &Said) {
        let (name, why) = (&gate.name, said.says.as_deref());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        match said.answer {
            Answer::Yes => self.reporter.note(format!("the gate {name} says yes{why}")),
            Answer::NotAsked | Answer::NotYet => {
                self.reporter
                    .note(format!("the gate {name} has not decided yet{why}"));
            }
            Answer::No => self
                .reporter
                .warning(format!("the gate {name} says no{why}")),
            Answer::Unclear => {
                let text = format!("the gate {name} gives no answer{why}; it is asked again");
                self.reporter.warning(text);
            }
        }
    }

    async fn ask(&self, deployment: &Deployment, gate: &Gate) -> Said {
        let (answer, says) = match self.asked(deployment, gate).await {
            Ok(Decided::Yes(why)) => (Answer::Yes, why),
            Ok(Decided::No(why)) => (Answer::No, why),
            Ok(Decided::NotYet(why)) => (Answer::NotYet, why),
            Ok(Decided::Unclear(why)) | Err(why) => (Answer::Unclear, Some(why)),
        };
        Said {
            answer,
            says,
            at: Timestamp::now(),
        }
    }

    async fn asked(&self, deployment: &Deployment, gate: &Gate) -> Result<Decided, String> {
        let credentials: Credentials = credentials(None, &gate.headers, self.base)?;
        let url = match gate.url.parse::<SecretRef>() {
            Ok(reference) => reference
                .resolve("url", self.base, &Environment::of_process())
                .map_err(|error| with_causes(&error))?,
            // What is no reference is the address itself.
            Err(_) => gate.url.clone().into(),
        };
        // It may be a secret, so that a fault of it does not show it.
        let url = url.expose_secret().trim().parse();
        let url = url.map_err(|_| "its url is no address".to_owned())?;
        let prober = Prober::new()?;
        let question = Question {
            method: Method::Post,
            url,
            body: Some(self.body(deployment, gate).to_string()),
            credentials: &credentials,
            timeout: gate.timeout(),
            reads: true,
        };
        let answer = prober.ask(question).await;
        let answer = answer.map_err(|reading| reading.says)?;
        Ok(decided(&answer, &credentials))
    }

    /// What a gate is sent.
    fn body(&self, deployment: &Deployment, gate: &Gate) -> Value {
        json!({
            "gate": gate.name,
            "deployment": deployment.id,
            "environment": deployment.environment,
            "revision": deployment.request.revision,
            "recipe": deployment.plan.building.recipe,
            "by": deployment.by.as_ref().map(ToString::to_string),
            "created_at": deployment.created_at,
            "plan": self.address.map(|base| {
                let base = base.strip_suffix('/').unwrap_or(base);
                format!("{base}/v1/deployments/{}", deployment.id)
            }),
        })
    }
}
