//! What the platforms have in common: one comment that is found again, and one status.

use super::Told;
use super::error::PublishError;
use super::http::{Api, Call, Trouble};
use crate::operations::ci::report::markdown::marked;
use crate::operations::ci::report::{Report, Verdict};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most pages of comments that are read.
const MOST_PAGES: u32 = 200;

/// Whose a comment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// Of whom the token is.
    Own,
    /// Of anybody else.
    Other,
}

/// Whether a comment is the one of a corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Corner and environment are the same.
    Exact,
    /// The corner is the same, and one of the two reports ended before it knew its environment.
    Near,
    /// It is another comment.
    No,
}

/// What the comment of a corner begins with.
#[derive(Debug)]
pub(super) struct Marks {
    name: String,
    environment: String,
}

impl Marks {
    /// Of this report.
    pub(super) fn of(report: &Report) -> Self {
        Self {
            name: report.name.clone(),
            environment: report.environment.clone(),
        }
    }

    /// Whether this comment is it.
    pub(super) fn fit(&self, body: &str) -> Fit {
        match marked(body) {
            Some((environment, name)) if name == self.name => {
                if environment == self.environment {
                    Fit::Exact
                } else if environment.is_empty() || self.environment.is_empty() {
                    Fit::Near
                } else {
                    Fit::No
                }
            }
            Some(_) | None => Fit::No,
        }
    }
}

/// A search through pages, the oldest comment first.
#[derive(Debug, Default)]
pub(super) struct Search {
    exact: Option<u64>,
    near: Option<u64>,
    pages: u32,
}

impl Search {
    /// Begins a page.
    pub(super) fn turn(&mut self, url: &Url) -> Result<(), PublishError> {
        self.pages += 1;
        match self.pages <= MOST_PAGES {
            true => Ok(()),
            false => Err(PublishError::Unreadable {
                place: url.to_string(),
                problem: format!("there are more than {MOST_PAGES} pages of comments"),
            }),
        }
    }

    /// Whether a comment that fits so would change what is found.
    pub(super) fn wants(&self, fit: Fit) -> bool {
        match fit {
            Fit::Exact => self.exact.is_none(),
            Fit::Near => self.near.is_none(),
            Fit::No => false,
        }
    }

    /// Takes a comment.
    pub(super) fn take(&mut self, id: u64, fit: Fit) {
        match fit {
            Fit::Exact => self.exact = Some(id),
            Fit::Near => self.near = Some(id),
            Fit::No => {}
        }
    }

    /// Whether nothing better can follow.
    pub(super) fn is_over(&self) -> bool {
        self.exact.is_some()
    }

    /// What was found.
    pub(super) fn found(&self) -> Option<u64> {
        self.exact.or(self.near)
    }
}

/// A status of a commit.
#[derive(Debug)]
pub(super) struct Status<'a> {
    /// `cutover/<environment>`
    pub name: &'a str,
    /// How the build ended.
    pub verdict: Verdict,
    /// The sentence that says it all.
    pub headline: &'a str,
}

impl Status<'_> {
    /// What both platforms are told alike: the state in their words, so many characters of the headline, and where the
    /// job's log is.
    pub(super) fn body(&self, state: &str, longest: usize, log: Option<&str>) -> Value {
        let description: String = self.headline.chars().take(longest).collect();
        let mut body = json!({ "state": state, "description": description });
        if let Some(log) = log {
            body["target_url"] = Value::from(log);
        }
        body
    }
}

/// A platform.
pub(super) trait Forge {
    /// Its API.
    fn api(&self) -> &Api;
    /// The comment that is there.
    async fn find(&self, number: u64, marks: &Marks) -> Result<Option<u64>, PublishError>;
    /// A new comment.
    fn create(&self, number: u64, body: &str) -> Call;
    /// Another body for a comment.
    fn update(&self, number: u64, id: u64, body: &str) -> Call;
    /// A status.
    fn status(&self, status: &Status<'_>) -> Call;
}

/// What a platform answers when something was written.
#[derive(Debug, Deserialize)]
struct Written {
    #[serde(rename = "id")]
    _id: u64,
    html_url: Option<String>,
}

/// Writes the comment, anew or over the one that is there.
///
/// A comment is only made after a look at what is there, also when it is tried again: the answer that was lost may have
/// been a good one.
pub(super) async fn comment<F: Forge>(
    forge: &F,
    number: u64,
    marks: &Marks,
    body: &str,
) -> Result<Told, PublishError> {
    let api = forge.api();
    let written = api.patiently(async || {
        let found = forge.find(number, marks).await?;
        let call = match found {
            Some(id) => forge.update(number, id, body),
            None => forge.create(number, body),
        };
        let written: Written = api.once(&call).await?.json()?;
        let url = written.html_url;
        Ok::<_, Trouble>(match found {
            Some(_) => Told::Updated { url },
            None => Told::Created { url },
        })
    });
    denied(written.await)
}

/// Sets the status.
pub(super) async fn status<F: Forge>(forge: &F, status: &Status<'_>) -> Result<Told, PublishError> {
    let call = forge.status(status);
    let answer = forge.api().send(&call).await;
    denied(answer.and_then(|answer| {
        let _: Written = answer.json()?;
        Ok(Told::Set {
            name: status.name.to_owned(),
        })
    }))
}

/// A token that may not write is no failure: the summary has everything.
fn denied(told: Result<Told, PublishError>) -> Result<Told, PublishError> {
    match told {
        Err(error @ PublishError::Denied { .. }) => Ok(Told::Denied {
            why: error.to_string(),
        }),
        told => told,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, Marks, Search};
    use crate::operations::ci::report::markdown::marker;

    #[test]
    fn a_comment_is_told_by_its_first_line() {
        let marks = |environment: &str| Marks {
            name: "pr-1".to_owned(),
            environment: environment.to_owned(),
        };
        let body = format!("{}\r\nmore", marker("pr-1", "a/b"));
        assert_eq!(marks("a/b").fit(&body), Fit::Exact);
        assert_eq!(marks("").fit(&body), Fit::Near);
        assert_eq!(marks("a").fit(&body), Fit::No);
        assert_eq!(marks("a").fit(&marker("pr-1", "")), Fit::Near);
        assert_eq!(marks("a").fit(&marker("pr-11", "a")), Fit::No);
        assert_eq!(
            marks("a").fit(&format!("> {}", marker("pr-1", "a"))),
            Fit::No
        );
        assert_eq!(
            marks("a").fit(&format!("\n{}", marker("pr-1", "a"))),
            Fit::No
        );
        assert_eq!(marks("a").fit(""), Fit::No);
    }

    #[test]
    fn the_first_that_fits_best_is_found() {
        let mut search = Search::default();
        search.take(1, Fit::Near);
        assert!(!search.wants(Fit::Near) && search.wants(Fit::Exact) && !search.is_over());
        assert_eq!(search.found(), Some(1));
        search.take(2, Fit::Exact);
        assert!(search.is_over() && !search.wants(Fit::Exact));
        assert_eq!(search.found(), Some(2));
    }

    #[test]
    fn pages_without_end_end() {
        let url = "https://h/x".parse().expect("an address");
        let mut search = Search::default();
        for _ in 0..super::MOST_PAGES {
            search.turn(&url).expect("a page");
        }
        assert!(search.turn(&url).is_err());
    }
}
