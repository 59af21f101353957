//! GitHub: one comment on the pull request, and a commit status on its head.
//!
//! Sources: "REST API endpoints for issue comments", "REST API endpoints for commit statuses", "Variables reference"
//! and "Webhook events and payloads" of GitHub's documentation.

use super::error::PublishError;
use super::forge::{Author, Forge, Marks, Search, Status};
use super::http::{Api, Call, Credentials};
use super::variables::{Variables, parsed};
use crate::operations::ci::report::Verdict;
use reqwest::{Method, Url, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// The most bytes of a comment: GitHub takes 65,536 characters.
pub(super) const LONGEST_COMMENT: usize = 65_536;

/// The most bytes that are added to a step's summary: GitHub takes 1 MiB of it.
pub(super) const LONGEST_SUMMARY: usize = 1_000_000;

/// The most characters of a status's description.
const LONGEST_DESCRIPTION: usize = 140;

/// The most bytes of an event: GitHub sends 25 MB at most.
const LONGEST_EVENT: u64 = 32 << 20;

/// Comments on one page.
const PAGE: &str = "100";

/// What a job says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    owner: String,
    repository: String,
    /// The pull request; `None` where the job is of none.
    pub number: Option<u64>,
    /// The commit that people look at: the head of the pull request, not the merge that is built.
    sha: String,
    /// Where the job's log is.
    log: Option<String>,
}

/// The part of an event that is used.
#[derive(Debug, Default, Deserialize)]
struct Event {
    pull_request: Option<PullRequest>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    number: u64,
    head: Head,
}

#[derive(Debug, Deserialize)]
struct Head {
    sha: String,
}

impl Job {
    /// As the variables and the event say.
    pub(super) fn read(variables: Variables<'_>) -> Result<Self, PublishError> {
        let repository = variables.needed("GITHUB_REPOSITORY")?;
        let (owner, name) = match repository.split_once('/') {
            Some((owner, name)) if !owner.is_empty() && !name.is_empty() && !name.contains('/') => {
                (owner, name)
            }
            Some(_) | None => {
                return Err(PublishError::Variable {
                    name: "GITHUB_REPOSITORY".to_owned(),
                    problem: "is not OWNER/NAME".to_owned(),
                });
            }
        };
        let event = match variables.get("GITHUB_EVENT_PATH") {
            Some(path) => event(path)?,
            None => Event::default(),
        };
        let sha = match &event.pull_request {
            Some(request) => request.head.sha.clone(),
            None => variables.needed("GITHUB_SHA")?.to_owned(),
        };
        let run = variables
            .get("GITHUB_SERVER_URL")
            .zip(variables.get("GITHUB_RUN_ID"));
        Ok(Self {
            owner: owner.to_owned(),
            repository: name.to_owned(),
            number: match event.pull_request {
                Some(request) => Some(request.number),
                None => of_reference(variables.get("GITHUB_REF")),
            },
            sha,
            log: run.map(|(server, run)| format!("{server}/{repository}/actions/runs/{run}")),
        })
    }
}

/// The event that started the job.
fn event(path: &str) -> Result<Event, PublishError> {
    let failed = |problem: String| PublishError::Event {
        path: path.to_owned(),
        problem,
    };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    let read = file.take(LONGEST_EVENT).read_to_end(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

/// `refs/pull/N/…`
fn of_reference(reference: Option<&str>) -> Option<u64> {
    let rest = reference?.strip_prefix("refs/pull/")?;
    rest.split('/').next()?.parse().ok()
}

/// GitHub, for one job.
#[derive(Debug)]
pub(super) struct GitHub {
    api: Api,
    job: Job,
    /// Who the token is; `None` where it does not say.
    me: OnceCell<Option<String>>,
}

#[derive(Debug, Deserialize)]
struct Comment {
    id: u64,
    body: Option<String>,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    login: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl GitHub {
    /// The API that the variables name, with this token.
    pub(super) fn new(
        job: Job,
        variables: Variables<'_>,
        token: SecretString,
        timeout: Duration,
        stop: CancellationToken,
    ) -> Result<Self, PublishError> {
        let name = "GITHUB_API_URL";
        let credentials = Credentials {
            header: header::AUTHORIZATION,
            before: "Bearer ",
            token,
            variable: "GITHUB_TOKEN",
        };
        let api = Api::new(variables.needed(name)?, name, credentials, timeout, stop)?;
        let me = OnceCell::new();
        Ok(Self { api, job, me })
    }

    fn repository(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut whole = vec!["repos", &self.job.owner, &self.job.repository];
        whole.extend(path);
        self.api.url(&whole, query)
    }

    /// Whether a comment is of whom the token is: what others write is never changed, whatever it begins with.
    ///
    /// The token of a job does not say who it is; what it writes is a bot's.
    async fn author(&self, user: Option<&User>) -> Result<Author, PublishError> {
        let Some(user) = user else {
            return Ok(Author::Other);
        };
        if user.kind.as_deref() == Some("Bot") {
            return Ok(Author::Own);
        }
        let me = self.me.get_or_try_init(async || {
            let call = Call::get(self.api.url(&["user"], &[]));
            match self.api.send(&call).await {
                Ok(answer) => Ok(Some(answer.json::<User>()?.login)),
                Err(PublishError::Denied { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok(match me.await?.as_ref() == Some(&user.login) {
            true => Author::Own,
            false => Author::Other,
        })
    }
}

impl Forge for GitHub {
    fn api(&self) -> &Api {
        &self.api
    }

    async fn find(&self, number: u64, marks: &Marks) -> Result<Option<u64>, PublishError> {
        let number = number.to_string();
        let path = ["issues", &number, "comments"];
        let mut search = Search::default();
        let mut next = Some(self.repository(&path, &[("per_page", PAGE)]));
        while let Some(url) = next {
            search.turn(&url)?;
            let call = Call::get(url);
            let answer = self.api.send(&call).await?;
            for comment in answer.json::<Vec<Comment>>()? {
                let fit = marks.fit(comment.body.as_deref().unwrap_or_default());
                if search.wants(fit) && self.author(comment.user.as_ref()).await? == Author::Own {
                    search.take(comment.id, fit);
                }
            }
            if search.is_over() {
                break;
            }
            next = match answer.header("link").and_then(next_of) {
                Some(link) => Some(self.api.next(link)?),
                None => None,
            };
        }
        Ok(search.found())
    }

    fn create(&self, number: u64, body: &str) -> Call {
        Call {
            method: Method::POST,
            url: self.repository(&["issues", &number.to_string(), "comments"], &[]),
            body: Some(json!({ "body": body })),
        }
    }

    fn update(&self, _number: u64, id: u64, body: &str) -> Call {
        Call {
            method: Method::PATCH,
            url: self.repository(&["issues", "comments", &id.to_string()], &[]),
            body: Some(json!({ "body": body })),
        }
    }

    fn status(&self, status: &Status<'_>) -> Call {
        let log = self.job.log.as_deref();
        let mut body = status.body(state(status.verdict), LONGEST_DESCRIPTION, log);
        body["context"] = Value::from(status.name);
        Call {
            method: Method::POST,
            url: self.repository(&["statuses", &self.job.sha], &[]),
            body: Some(body),
        }
    }
}

/// A verdict in GitHub's words: `failure` where what was built is at fault, `error` where it could not be said.
fn state(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "success",
        Verdict::Failed => "failure",
        Verdict::Wrong | Verdict::Refused | Verdict::Away | Verdict::Cancelled => "error",
    }
}

/// The next page, where a `Link` header says one.
fn next_of(header: &str) -> Option<&str> {
    header.split(',').find_map(|part| {
        let (url, parameters) = part.split_once('>')?;
        let url = url.trim().strip_prefix('<')?;
        let is_next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim();
            parameter == "rel=\"next\"" || parameter == "rel=next"
        });
        is_next.then_some(url)
    })
}

/// The token of a job, where there is one.
pub(super) fn token(variables: Variables<'_>) -> Option<SecretString> {
    variables.get("GITHUB_TOKEN").map(SecretString::from)
}

/// The file of a step to which something is added, where the platform has one.
pub(super) fn file(
    variables: Variables<'_>,
    name: &str,
) -> Result<Option<std::path::PathBuf>, PublishError> {
    variables
        .get(name)
        .map(|path| parsed(name, path))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::{Job, next_of};
    use crate::operations::ci::publish::variables::Variables;
    use std::collections::BTreeMap;

    fn read(pairs: &[(&str, &str)]) -> Result<Job, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: BTreeMap<String, String> = pairs.collect();
        Job::read(Variables(&variables)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_job_says_what_it_is_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("event.json");
        let event = r#"{"action":"opened","pull_request":{"number":7,"head":{"sha":"head"}}}"#;
        std::fs::write(&path, event).expect("a file");
        let path = path.display().to_string();
        let mut set = vec![
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_SHA", "merge"),
            ("GITHUB_REF", "refs/pull/7/merge"),
        ];
        let job = read(&set).expect("a job");
        assert_eq!((job.number, job.sha.as_str()), (Some(7), "merge"));
        set.push(("GITHUB_EVENT_PATH", &path));
        let job = read(&set).expect("a job");
        assert_eq!((job.number, job.sha.as_str()), (Some(7), "head"));
        assert_eq!(job.log, None);
        set.push(("GITHUB_SERVER_URL", "https://h"));
        set.push(("GITHUB_RUN_ID", "3"));
        let job = read(&set).expect("a job");
        assert_eq!(job.log.as_deref(), Some("https://h/o/r/actions/runs/3"));
        let job = read(&[("GITHUB_REPOSITORY", "o/r"), ("GITHUB_SHA", "s")]).expect("a job");
        assert_eq!(job.number, None);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (set, named) in [
            (&[][..], "GITHUB_REPOSITORY"),
            (
                &[("GITHUB_REPOSITORY", "o"), ("GITHUB_SHA", "s")],
                "OWNER/NAME",
            ),
            (
                &[("GITHUB_REPOSITORY", "o/r/x"), ("GITHUB_SHA", "s")],
                "OWNER/NAME",
            ),
            (&[("GITHUB_REPOSITORY", "o/r")], "GITHUB_SHA"),
            (
                &[
                    ("GITHUB_REPOSITORY", "o/r"),
                    ("GITHUB_EVENT_PATH", "/nowhere.json"),
                ],
                "/nowhere.json",
            ),
        ] {
            let error = read(set).expect_err(named);
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_link_says_the_next_page() {
        let header = r#"<https://h/x?page=1>; rel="prev", <https://h/x?page=3>; rel="next""#;
        assert_eq!(next_of(header), Some("https://h/x?page=3"));
        assert_eq!(next_of(r#"<https://h/x?page=1>; rel="first""#), None);
        assert_eq!(next_of("nonsense"), None);
    }
}
