//! Putting a report where people look: one comment on the request, a status of its commit, the summary and the outputs
//! of the step.
//!
//! The comment is found again by its first line, which names environment and corner, and by its author: only what the
//! token itself wrote is changed. Summary and outputs are files and come first, so that they are there whatever the
//! platform's API answers. A token that may only read is told and is no failure; everything else is.

use crate::operations::ci::detect::{self, Platform};
use crate::operations::ci::name::CornerName;
use crate::operations::ci::report::{self, Report, Verdict};
use error::PublishError;
use forge::{Forge, Marks, Status};
use github::GitHub;
use gitlab::GitLab;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use variables::Variables;

/// What can go wrong.
pub mod error;
/// What the platforms have in common.
mod forge;
/// GitHub.
mod github;
/// GitLab.
mod gitlab;
/// Requests to an API.
mod http;
/// What the platform says by variables.
mod variables;

/// The most bytes of a report file.
const LONGEST_REPORT: u64 = 64 << 20;

/// The platforms to which reports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
}

impl Place {
    /// The platform that this job runs on.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn of(variables: &BTreeMap<String, String>) -> Result<Self, PublishError> {
        match detect::detect(variables).map(|found| found.platform) {
            Some(Platform::GitHub) => Ok(Self::GitHub),
            Some(Platform::GitLab) => Ok(Self::GitLab),
            Some(
                Platform::Buildkite | Platform::CircleCi | Platform::Jenkins | Platform::Azure,
            )
            | None => Err(PublishError::Platform),
        }
    }

    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => Platform::GitHub.as_str(),
            Self::GitLab => Platform::GitLab.as_str(),
        }
    }
}

/// What is published, and where.
#[derive(Debug)]
pub struct Publishing<'a> {
    /// The report.
    pub report: &'a Report,
    /// The file that it was read from; `None` where it was standard input.
    pub path: Option<&'a Path>,
    /// The platform.
    pub place: Place,
    /// The variables of the environment.
    pub variables: &'a BTreeMap<String, String>,
    /// The file that the summary is added to, where it is not the platform's own.
    pub summary: Option<&'a Path>,
    /// The file that the outputs are added to, where it is not the platform's own.
    pub outputs: Option<&'a Path>,
    /// How long the platform's API is asked.
    pub timeout: Duration,
    /// Cancelled when somebody wants an end.
    pub stop: &'a CancellationToken,
}

/// What became of a comment or a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Told {
    /// The comment is new.
    Created {
        /// Where it is.
        url: Option<String>,
    },
    /// The comment that was there has another body.
    Updated {
        /// Where it is.
        url: Option<String>,
    },
    /// The status is set.
    Set {
        /// Its name.
        name: String,
    },
    /// The token may not write.
    Denied {
        /// What the platform said.
        why: String,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        why: String,
    },
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The platform.
    pub platform: Place,
    /// The corner.
    pub corner: String,
    /// How its build ended.
    pub verdict: Verdict,
    /// The comment.
    pub comment: Told,
    /// The status.
    pub status: Told,
    /// The file that the summary was added to.
    pub summary: Option<PathBuf>,
    /// The file that the outputs were added to.
    pub outputs: Option<PathBuf>,
}

/// The report in a file, or in standard input where that is `-`.
///
/// # Errors
/// When there is none, or something else.
pub fn read(path: &Path) -> Result<Report, PublishError> {
    let shown = path.display().to_string();
    let failed = |source| PublishError::Read {
        path: shown.clone(),
        source,
    };
    let no = |problem: String| PublishError::NotAReport {
        path: shown.clone(),
        problem,
    };
    let mut text = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin()
            .lock()
            .take(LONGEST_REPORT + 1)
            .read_to_end(&mut text),
        false => {
            let file = File::open(path).map_err(failed)?;
            file.take(LONGEST_REPORT + 1).read_to_end(&mut text)
        }
    };
    read.map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST_REPORT {
        return Err(no(format!(
            "it is longer than {} MiB",
            LONGEST_REPORT >> 20
        )));
    }
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| no(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(report::VERSION) => {}
        Some(version) => {
            return Err(no(format!(
                "its version is {version}, and this program reads {}",
                report::VERSION
            )));
        }
        None => return Err(no("it has no version".to_owned())),
    }
    let report: Report = serde_json::from_value(value).map_err(|error| no(error.to_string()))?;
    report.name.parse::<CornerName>()?;
    Ok(report)
}

impl Publishing<'_> {
    /// Publishes: first to files, then to the platform. Where comment and status both fail, the first error is told.
    ///
    /// # Errors
    /// See [`PublishError`]; what was published before stays.
    pub async fn run(&self) -> Result<Published, PublishError> {
        let variables = Variables(self.variables);
        let (summary, outputs) = match self.place {
            Place::GitHub => (
                github::file(variables, "GITHUB_STEP_SUMMARY")?,
                github::file(variables, "GITHUB_OUTPUT")?,
            ),
            Place::GitLab => (None, None),
        };
        let summary = self.summary.map(Path::to_owned).or(summary);
        let outputs = self.outputs.map(Path::to_owned).or(outputs);
        if let Some(path) = &outputs {
            added(path, &self.output_lines()?)?;
        }
        if let Some(path) = &summary {
            added(path, &self.report.markdown_within(github::LONGEST_SUMMARY))?;
        }
        let (comment, status) = match self.place {
            Place::GitHub => self.to_github(variables).await?,
            Place::GitLab => self.to_gitlab(variables).await?,
        };
        Ok(Published {
            platform: self.place,
            corner: self.report.name.clone(),
            verdict: self.report.verdict,
            comment,
            status,
            summary,
            outputs,
        })
    }

    async fn to_github(&self, variables: Variables<'_>) -> Result<(Told, Told), PublishError> {
        let job = github::Job::read(variables)?;
        let Some(token) = github::token(variables) else {
            return Ok(skipped("GITHUB_TOKEN is not set"));
        };
        let number = job.number;
        let (timeout, stop) = (self.timeout, self.stop.clone());
        let forge = GitHub::new(job, variables, token, timeout, stop)?;
        self.written(&forge, number, github::LONGEST_COMMENT).await
    }

    async fn to_gitlab(&self, variables: Variables<'_>) -> Result<(Told, Told), PublishError> {
        let job = gitlab::Job::read(variables)?;
        let token = match gitlab::token(variables) {
            Ok(token) => token,
            Err(why) => return Ok(skipped(why)),
        };
        let number = job.number();
        let (timeout, stop) = (self.timeout, self.stop.clone());
        let forge = GitLab::new(job, variables, token, timeout, stop)?;
        self.written(&forge, number, gitlab::LONGEST_NOTE).await
    }

    /// The comment, of at most so many bytes, and the status.
    async fn written<F: Forge>(
        &self,
        forge: &F,
        number: Option<u64>,
        longest: usize,
    ) -> Result<(Told, Told), PublishError> {
        let comment = match number {
            Some(number) => {
                let body = self.report.markdown_within(longest);
                forge::comment(forge, number, &Marks::of(self.report), &body).await
            }
            None => Ok(Told::Skipped {
                why: "the job is of no pull or merge request".to_owned(),
            }),
        };
        let name = match self.report.environment.as_str() {
            "" => "cutover".to_owned(),
            environment => format!("cutover/{environment}"),
        };
        let headline = self.report.headline();
        let status = Status {
            name: &name,
            verdict: self.report.verdict,
            headline: &headline,
        };
        let status = forge::status(forge, &status).await;
        Ok((comment?, status?))
    }

    /// The outputs of the step, a line each. GitLab's are variables of later jobs, so their names say whose they are.
    fn output_lines(&self) -> Result<String, PublishError> {
        let path = self.path.map(|path| path.display().to_string());
        if path
            .as_ref()
            .is_some_and(|path| path.contains(['\n', '\r']))
        {
            return Err(PublishError::NotAReport {
                path: path.unwrap_or_default(),
                problem: "a path of several lines cannot be an output".to_owned(),
            });
        }
        let mut values = vec![
            ("verdict", self.report.verdict.as_str().to_owned()),
            ("corner", self.report.name.clone()),
        ];
        values.extend(path.map(|path| ("report", path)));
        let line = |(name, value): (&str, String)| match self.place {
            Place::GitHub => format!("{name}={value}\n"),
            Place::GitLab => format!("CUTOVER_{}={value}\n", name.to_uppercase()),
        };
        Ok(values.into_iter().map(line).collect())
    }
}

fn skipped(why: &str) -> (Told, Told) {
    let told = || Told::Skipped {
        why: why.to_owned(),
    };
    (told(), told())
}

fn added(path: &Path, text: &str) -> Result<(), PublishError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| PublishError::Write {
            path: path.display().to_string(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::{Place, PublishError, read};
    use crate::operations::ci::report::sample;
    use std::collections::BTreeMap;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.json");
        let write = |text: &str| std::fs::write(&path, text).expect("a file");
        let report = sample::bad();
        write(&serde_json::to_string(&report).expect("JSON"));
        assert_eq!(read(&path).expect("a report"), report);
        let mut value = serde_json::to_value(&report).expect("JSON");
        for (field, other, said) in [
            ("version", serde_json::json!(2), "its version is 2"),
            ("version", serde_json::Value::Null, "no version"),
            ("name", serde_json::json!("a -->\nb"), "no name of a corner"),
            ("nodes", serde_json::json!("x"), "invalid type"),
        ] {
            let before = std::mem::replace(&mut value[field], other);
            write(&value.to_string());
            let error = read(&path).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
            value[field] = before;
        }
        write("<html>");
        assert!(matches!(read(&path), Err(PublishError::NotAReport { .. })));
        std::fs::remove_file(&path).expect("no file");
        assert!(matches!(read(&path), Err(PublishError::Read { .. })));
    }

    #[test]
    fn the_platform_is_found_or_asked_for() {
        let of = |name: &str| {
            let variables: BTreeMap<String, String> = [(name.to_owned(), "true".to_owned())].into();
            Place::of(&variables).ok()
        };
        assert_eq!(of("GITHUB_ACTIONS"), Some(Place::GitHub));
        assert_eq!(of("GITLAB_CI"), Some(Place::GitLab));
        assert_eq!(of("BUILDKITE"), None);
        assert_eq!(of("CI"), None);
    }
}
