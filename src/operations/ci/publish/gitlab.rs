//! GitLab: one note on the merge request, and a status of the commit in the job's own pipeline.
//!
//! Sources: "Notes API", "Commits API" (commit status), "CI/CD job token" and "Predefined CI/CD variables reference" of
//! GitLab's documentation.

use super::error::PublishError;
use super::forge::{Author, Forge, Marks, Search, Status};
use super::http::{Api, Call, Credentials};
use super::variables::{Variables, parsed};
use crate::operations::ci::report::Verdict;
use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// The most bytes of a note: GitLab takes 1,000,000 characters.
pub(super) const LONGEST_NOTE: usize = 1_000_000;

/// The most characters of a status's description.
const LONGEST_DESCRIPTION: usize = 255;

/// Notes on one page: each may have a megabyte.
const PAGE: &str = "50";

/// What a job says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The project that the merge request goes to, and its number there; `None` where the job is of none.
    request: Option<(u64, u64)>,
    /// The project that the job runs in.
    project: u64,
    pipeline: Option<u64>,
    sha: String,
    log: Option<String>,
}

impl Job {
    /// As the variables say.
    pub(super) fn read(variables: Variables<'_>) -> Result<Self, PublishError> {
        let project = parsed("CI_PROJECT_ID", variables.needed("CI_PROJECT_ID")?)?;
        let number = |name: &str| {
            variables
                .get(name)
                .map(|text| parsed(name, text))
                .transpose()
        };
        let target = number("CI_MERGE_REQUEST_PROJECT_ID")?;
        let request = number("CI_MERGE_REQUEST_IID")?;
        Ok(Self {
            request: request.map(|request| (target.unwrap_or(project), request)),
            project,
            pipeline: number("CI_PIPELINE_ID")?,
            sha: variables.needed("CI_COMMIT_SHA")?.to_owned(),
            log: variables.get("CI_JOB_URL").map(str::to_owned),
        })
    }

    /// The merge request.
    pub(super) fn number(&self) -> Option<u64> {
        self.request.map(|(_, number)| number)
    }
}

/// GitLab, for one job.
#[derive(Debug)]
pub(super) struct GitLab {
    api: Api,
    job: Job,
    me: OnceCell<u64>,
}

#[derive(Debug, Deserialize)]
struct Note {
    id: u64,
    body: Option<String>,
    author: Option<User>,
    #[serde(default)]
    system: bool,
}

#[derive(Debug, Deserialize)]
struct User {
    id: u64,
}

impl GitLab {
    /// The API that the variables name, with this token.
    pub(super) fn new(
        job: Job,
        variables: Variables<'_>,
        token: SecretString,
        timeout: Duration,
        stop: CancellationToken,
    ) -> Result<Self, PublishError> {
        let name = "CI_API_V4_URL";
        let credentials = Credentials {
            header: HeaderName::from_static("private-token"),
            before: "",
            token,
            variable: "GITLAB_TOKEN",
        };
        let api = Api::new(variables.needed(name)?, name, credentials, timeout, stop)?;
        let me = OnceCell::new();
        Ok(Self { api, job, me })
    }

    fn notes(&self, number: u64, note: Option<u64>, query: &[(&str, &str)]) -> Url {
        let project = self
            .job
            .request
            .map_or(self.job.project, |(project, _)| project);
        let (project, number) = (project.to_string(), number.to_string());
        let note = note.map(|id| id.to_string());
        let mut path = vec!["projects", &project, "merge_requests", &number, "notes"];
        path.extend(note.as_deref());
        self.api.url(&path, query)
    }

    /// Whether a note is of whom the token is: what others write is never changed, whatever it begins with.
    async fn author(&self, note: &Note) -> Result<Author, PublishError> {
        let me = self.me.get_or_try_init(async || {
            let call = Call::get(self.api.url(&["user"], &[]));
            Ok::<_, PublishError>(self.api.send(&call).await?.json::<User>()?.id)
        });
        let me = *me.await?;
        let is_own = !note.system && note.author.as_ref().is_some_and(|user| user.id == me);
        Ok(match is_own {
            true => Author::Own,
            false => Author::Other,
        })
    }
}

impl Forge for GitLab {
    fn api(&self) -> &Api {
        &self.api
    }

    async fn find(&self, number: u64, marks: &Marks) -> Result<Option<u64>, PublishError> {
        let mut search = Search::default();
        let mut page = Some("1".to_owned());
        while let Some(current) = page {
            let query = [
                ("order_by", "created_at"),
                ("sort", "asc"),
                ("per_page", PAGE),
                ("page", &current),
            ];
            let url = self.notes(number, None, &query);
            search.turn(&url)?;
            let call = Call::get(url);
            let answer = self.api.send(&call).await?;
            for note in answer.json::<Vec<Note>>()? {
                let fit = marks.fit(note.body.as_deref().unwrap_or_default());
                if search.wants(fit) && self.author(&note).await? == Author::Own {
                    search.take(note.id, fit);
                }
            }
            if search.is_over() {
                break;
            }
            let next = answer.header("x-next-page").map(str::trim);
            page = next.filter(|next| !next.is_empty()).map(str::to_owned);
        }
        Ok(search.found())
    }

    fn create(&self, number: u64, body: &str) -> Call {
        Call {
            method: Method::POST,
            url: self.notes(number, None, &[]),
            body: Some(json!({ "body": body })),
        }
    }

    fn update(&self, number: u64, id: u64, body: &str) -> Call {
        Call {
            method: Method::PUT,
            url: self.notes(number, Some(id), &[]),
            body: Some(json!({ "body": body })),
        }
    }

    fn status(&self, status: &Status<'_>) -> Call {
        let log = self.job.log.as_deref();
        let mut body = status.body(state(status.verdict), LONGEST_DESCRIPTION, log);
        body["name"] = Value::from(status.name);
        if let Some(pipeline) = self.job.pipeline {
            body["pipeline_id"] = Value::from(pipeline);
        }
        let project = self.job.project.to_string();
        Call {
            method: Method::POST,
            url: self
                .api
                .url(&["projects", &project, "statuses", &self.job.sha], &[]),
            body: Some(body),
        }
    }
}

/// A verdict in GitLab's words.
fn state(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "success",
        Verdict::Failed | Verdict::Wrong | Verdict::Refused | Verdict::Away => "failed",
        Verdict::Cancelled => "canceled",
    }
}

/// The token, or why there is none that can write.
pub(super) fn token(variables: Variables<'_>) -> Result<SecretString, &'static str> {
    match (variables.get("GITLAB_TOKEN"), variables.get("CI_JOB_TOKEN")) {
        (Some(token), _) => Ok(SecretString::from(token)),
        (None, Some(_)) => Err(
            "GITLAB_TOKEN is not set, and GitLab lets the token of a job neither comment nor set a status",
        ),
        (None, None) => Err("GITLAB_TOKEN is not set"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Job, token};
    use crate::operations::ci::detect::tests::variables;
    use crate::operations::ci::publish::variables::Variables;

    #[test]
    fn a_job_says_what_it_is_of() {
        let mut set = variables(&[
            ("CI_PROJECT_ID", "5"),
            ("CI_COMMIT_SHA", "s"),
            ("CI_MERGE_REQUEST_IID", "7"),
        ]);
        let job = Job::read(Variables(&set)).expect("a job");
        assert_eq!(job.request, Some((5, 7)));
        // The pipeline of a fork: the merge request is the other project's.
        set.insert("CI_MERGE_REQUEST_PROJECT_ID".to_owned(), "9".to_owned());
        let job = Job::read(Variables(&set)).expect("a job");
        assert_eq!((job.request, job.project), (Some((9, 7)), 5));
        set.insert("CI_MERGE_REQUEST_IID".to_owned(), "7/../8".to_owned());
        let error = Job::read(Variables(&set)).expect_err("no number");
        assert!(
            error.to_string().contains("CI_MERGE_REQUEST_IID"),
            "{error}"
        );
        let branch = variables(&[("CI_PROJECT_ID", "5"), ("CI_COMMIT_SHA", "s")]);
        assert_eq!(
            Job::read(Variables(&branch)).map(|job| job.number()).ok(),
            Some(None)
        );
    }

    #[test]
    fn the_token_of_a_job_is_no_use() {
        let said = |pairs: &[(&str, &str)]| token(Variables(&variables(pairs))).map(drop);
        assert!(said(&[("GITLAB_TOKEN", "a"), ("CI_JOB_TOKEN", "b")]).is_ok());
        let why = said(&[("CI_JOB_TOKEN", "b")]).expect_err("no token");
        assert!(why.contains("token of a job"), "{why}");
        assert!(said(&[("GITLAB_TOKEN", " ")]).is_err());
    }
}
