//! Checks of endpoints: what is sent, how often, and what the answers come to.

use super::places::Places;
use super::verdict::{Finding, Sample, Verdict};
use crate::adapters::probe::{self, Credentials, Prober, Question, Reading};
use crate::domain::checks::external::{Auth, Method};
use crate::domain::checks::{
    Encoding, External, Moment, Naming, Policy, Relation, Side, Unknown, text,
};
use crate::foundation::environment::Environment;
use crate::foundation::failure::with_causes;
use crate::foundation::secret::SecretRef;
use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// Asks endpoints, at one moment of a deployment.
#[derive(Debug, Clone)]
pub struct ByProbe<'a> {
    /// Made when it is needed.
    prober: OnceLock<Result<Prober, String>>,
    /// Where relative paths of secrets begin.
    base: &'a Path,
    moment: Moment,
    naming: Naming,
    places: Option<Places>,
}

/// A request that is ready to be sent.
struct Ready {
    url: reqwest::Url,
    body: Option<String>,
    /// What is asked, for people.
    asked: String,
}

impl<'a> ByProbe<'a> {
    pub(super) fn new(base: &'a Path, moment: Moment, naming: Naming, places: Places) -> Self {
        Self {
            prober: OnceLock::new(),
            base,
            moment,
            naming,
            places: Some(places),
        }
    }

    /// One without a deployment: to try whether the endpoints of an environment answer.
    #[must_use]
    pub fn to_try(base: &'a Path, environment: &str) -> Self {
        Self {
            prober: OnceLock::new(),
            base,
            moment: Moment::Before,
            naming: Naming {
                deployment: "00000000-0000-7000-8000-000000000000".to_owned(),
                environment: environment.to_owned(),
            },
            places: None,
        }
    }

    /// Asks as often as the check says, and counts.
    pub(super) async fn ask(&self, check: External<'_>) -> Finding {
        let ready = match self.ready(check) {
            Ok(ready) => ready,
            Err(why) => return Finding::failed(why),
        };
        let times = check.times();
        let mut count = Count::default();
        let begun = Instant::now();
        loop {
            let (at, sent) = (Timestamp::now(), Instant::now());
            let reading = self.sample(check, &ready).await;
            let sample = Sample::of(&reading, at, sent.elapsed());
            let is_over = begun.elapsed() >= check.wait_for();
            let vote = match reading.holds {
                Ok(holds) => Some((holds, reading.says)),
                Err(unknown) => match (check.policy(unknown, self.moment), self.moment) {
                    (Policy::Fail, _) => {
                        Some((false, counted(&reading.says, unknown, "a failure")))
                    }
                    (Policy::Pass, _) => Some((true, counted(&reading.says, unknown, "passed"))),
                    (Policy::Wait, Moment::Soak) => {
                        count.samples.push(sample);
                        let says = format!("{} ({unknown})", reading.says);
                        return count.finding(Verdict::NoAnswer, says, ready.asked);
                    }
                    (Policy::Wait, Moment::Before) if is_over => {
                        let waited = humantime::format_duration(check.wait_for());
                        let says = format!("{} ({unknown}, waited for for {waited})", reading.says);
                        Some((false, says))
                    }
                    (Policy::Wait, Moment::Before) => None,
                },
            };
            if let Some((holds, says)) = vote {
                count.samples.push(sample);
                if let Some(verdict) = count.take(holds, says, times.samples, times.enough()) {
                    let says = count.says(verdict, times.samples, times.enough());
                    return count.finding(verdict, says, ready.asked);
                }
            }
            tokio::time::sleep(times.interval.0).await;
        }
    }

    /// Asks once, whatever the check says about times, and changes nothing: what is sent by POST is not sent. Gives
    /// what was read, with what was asked.
    ///
    /// # Errors
    /// What is wrong with the check.
    pub async fn try_once(&self, check: External<'_>) -> Result<(Reading, String), String> {
        let ready = self.ready(check)?;
        let reading = match check {
            External::Http(http) if http.method == Method::Post => self.reach(check, &ready).await,
            External::Http(_) | External::Prometheus(_) => self.sample(check, &ready).await,
        };
        Ok((reading, ready.asked))
    }

    fn ready(&self, check: External<'_>) -> Result<Ready, String> {
        let rendered = |what: &str, template: &str, encoding| {
            let places = self.places.clone();
            text(template, encoding, &self.naming, move |side, schema| {
                schema_on(places.as_ref(), side, schema)
            })
            .map_err(|why| format!("its {what} cannot be used: {why}"))
        };
        let base = rendered("url", check.url(), Encoding::Url)?;
        match check {
            External::Prometheus(prometheus) => {
                let query = rendered("query", &prometheus.query, Encoding::PromQl)?;
                let asked = format!("{query} {} at {base}", prometheus.condition);
                Ok(Ready {
                    url: probe::address(&base, &query, check.timeout())?,
                    body: None,
                    asked,
                })
            }
            External::Http(http) => {
                let body = http.body.as_deref();
                let body = body.map(|body| rendered("body", body, Encoding::Json));
                let method = http.method.as_str().to_uppercase();
                Ok(Ready {
                    url: base.parse().map_err(|error| format!("{base:?}: {error}"))?,
                    body: body.transpose()?,
                    asked: format!("{method} {base}"),
                })
            }
        }
    }

    async fn sample(&self, check: External<'_>, ready: &Ready) -> Reading {
        let credentials = match self.credentials(check) {
            Ok(credentials) => credentials,
            Err(reading) => return reading,
        };
        let (method, reads) = match check {
            External::Prometheus(_) => (Method::Get, true),
            External::Http(http) => (http.method, http.pointer.is_some()),
        };
        let question = Question {
            method,
            url: ready.url.clone(),
            body: ready.body.clone(),
            credentials: &credentials,
            timeout: check.timeout(),
            reads,
        };
        let answer = match self.prober.get_or_init(Prober::new) {
            Ok(prober) => prober.ask(question).await,
            Err(why) => Err(Reading::unknown(Unknown::Unreachable, why)),
        };
        match (answer, check) {
            (Err(reading), _) => reading,
            (Ok(answer), External::Prometheus(prometheus)) => {
                probe::value(&answer, &prometheus.condition, &credentials)
            }
            (Ok(answer), External::Http(http)) => probe::expected(&answer, http),
        }
    }

    async fn reach(&self, check: External<'_>, ready: &Ready) -> Reading {
        let credentials = match self.credentials(check) {
            Ok(credentials) => credentials,
            Err(reading) => return reading,
        };
        let question = Question {
            method: Method::Post,
            url: ready.url.clone(),
            body: None,
            credentials: &credentials,
            timeout: check.timeout(),
            reads: false,
        };
        let reached = match self.prober.get_or_init(Prober::new) {
            Ok(prober) => prober.reach(question).await,
            Err(why) => Err(Reading::unknown(Unknown::Unreachable, why)),
        };
        match reached {
            Ok(status) => Reading {
                holds: Ok(true),
                value: None,
                status: Some(status),
                says: format!(
                    "somebody is there (OPTIONS is answered {status}; POST was not sent)"
                ),
            },
            Err(reading) => reading,
        }
    }

    /// The secrets of a check, read anew each time. One that is not there is no answer of the endpoint.
    fn credentials(&self, check: External<'_>) -> Result<Credentials, Reading> {
        credentials(check.auth(), check.headers(), self.base)
            .map_err(|why| Reading::unknown(Unknown::Unreachable, why))
    }
}

/// The secrets of a request, read anew each time.
///
/// # Errors
/// Which of them is not there.
pub(in crate::operations::deployment) fn credentials(
    auth: Option<&Auth>,
    headers: &BTreeMap<String, SecretRef>,
    base: &Path,
) -> Result<Credentials, String> {
    let environment = Environment::of_process();
    let secret = |key: &str, reference: &SecretRef| -> Result<SecretString, String> {
        let secret = reference.resolve(key, base, &environment);
        secret.map_err(|error| with_causes(&error))
    };
    let mut credentials = Credentials::default();
    if let Some(auth) = auth {
        let bearer = auth.bearer.as_ref();
        credentials.bearer = bearer.map(|one| secret("auth.bearer", one)).transpose()?;
        if let (Some(user), Some(password)) = (&auth.user, &auth.password) {
            let password = secret("auth.password", password)?;
            credentials.basic = Some((user.clone(), password));
        }
    }
    for (name, reference) in headers {
        let value = secret(&format!("headers.{name}"), reference)?;
        credentials.headers.push((name.clone(), value));
    }
    Ok(credentials)
}

/// What a schema of production is called on a side at present.
fn schema_on(places: Option<&Places>, side: Side, schema: &str) -> String {
    let relation = Relation {
        schema: schema.to_owned(),
        name: String::new(),
    };
    let place = places.and_then(|places| places.on(side, &relation));
    place.unwrap_or(relation).schema
}

fn counted(says: &str, unknown: Unknown, what: &str) -> String {
    format!("{says} (on_{unknown}: counts as {what})")
}

/// What the samples of one run come to.
#[derive(Debug, Default)]
struct Count {
    held: u32,
    fell: u32,
    samples: Vec<Sample>,
    /// What the last one that held, and the last one that did not, says.
    says_held: String,
    says_fell: String,
}

impl Count {
    /// Takes a sample in; the verdict, once more of them cannot change it.
    fn take(&mut self, holds: bool, says: String, samples: u32, enough: u32) -> Option<Verdict> {
        if holds {
            self.held += 1;
            self.says_held = says;
        } else {
            self.fell += 1;
            self.says_fell = says;
        }
        if self.held >= enough {
            return Some(Verdict::Passed);
        }
        (self.fell > samples.saturating_sub(enough)).then_some(Verdict::Failed)
    }

    fn says(&self, verdict: Verdict, samples: u32, enough: u32) -> String {
        let last = match verdict {
            Verdict::Passed => &self.says_held,
            Verdict::Failed | Verdict::NoAnswer | Verdict::NotApplicable => &self.says_fell,
        };
        match samples {
            1 => last.clone(),
            _ => format!(
                "it held in {} of {} samples, {enough} of {samples} are needed: {last}",
                self.held,
                self.held + self.fell
            ),
        }
    }

    fn finding(self, verdict: Verdict, says: String, asked: String) -> Finding {
        Finding::of_samples(verdict, says, asked, self.samples)
    }
}

impl Sample {
    fn of(reading: &Reading, at: Timestamp, took: Duration) -> Self {
        Self {
            at,
            holds: reading.holds.ok(),
            unknown: reading.holds.err(),
            value: reading.value,
            status: reading.status,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Count;
    use crate::operations::deployment::checks::verdict::Verdict;

    #[test]
    fn a_run_ends_when_more_samples_change_nothing() {
        for (samples, enough, votes, verdict, taken) in [
            (1, 1, "y", Verdict::Passed, 1),
            (1, 1, "n", Verdict::Failed, 1),
            (3, 3, "yyy", Verdict::Passed, 3),
            (3, 3, "yny", Verdict::Failed, 2),
            (5, 3, "nynyy", Verdict::Passed, 5),
            (5, 3, "nynn", Verdict::Failed, 4),
            (5, 1, "nny", Verdict::Passed, 3),
        ] {
            let mut count = Count::default();
            let mut found = None;
            for (number, vote) in votes.chars().enumerate() {
                found = count.take(vote == 'y', vote.to_string(), samples, enough);
                if found.is_some() {
                    assert_eq!(number + 1, taken, "{votes}");
                    break;
                }
            }
            assert_eq!(found, Some(verdict), "{votes} {enough}/{samples}");
        }
    }
}
