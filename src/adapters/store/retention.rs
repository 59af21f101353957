//! What is forgotten: the record of a deployment goes whole or not at all.

use super::error::StoreError;
use super::lead::Lead;
use super::{Store, now, stamp};
use jiff::{SignedDuration, Timestamp};

/// How many deployments go at a time: a transaction stays short, the rest goes with the next one.
pub(super) const AT_A_TIME: usize = 200;

/// How long answers to requests are kept.
const REQUESTS: SignedDuration = SignedDuration::from_hours(24);

/// How long messages are kept, delivered or not.
const MESSAGES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What goes. The times are compared as they are stored.
#[derive(Debug, Clone)]
pub(super) struct Trim {
    pub environment: String,
    pub keep: u32,
    pub older_than: String,
    pub spare: Vec<String>,
    pub requests_before: String,
    pub messages_before: String,
}

impl Store {
    /// Forgets, in one transaction, of the led environment: ended deployments beyond the newest
    /// `keep` that ended before `older_than`, at most 200 at a time, oldest first, with their events,
    /// effects and messages; likewise finished runs, except the last scheduled one and the last of a chain; answers to
    /// requests after 24 hours and messages after 7 days. What is in `spare`, ids of deployments or
    /// runs, stays. Gives the ids of the removed deployments.
    ///
    /// # Errors
    /// [`StoreError::WrongLead`] when another environment is led.
    pub async fn trim(
        &self,
        lead: &Lead,
        environment: &str,
        keep: u32,
        older_than: Timestamp,
        spare: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let proof = self.proof(lead)?;
        proof.covers(environment)?;
        let now = now();
        let before = |age| now.checked_sub(age).map_or_else(|_| stamp(now), stamp);
        let trim = Trim {
            environment: environment.to_owned(),
            keep,
            older_than: stamp(older_than),
            spare: spare.to_vec(),
            requests_before: before(REQUESTS),
            messages_before: before(MESSAGES),
        };
        self.write(proof, trim).await
    }
}
