//! Texts that need no project, no configuration and no server: topics, and refusals explained.
//!
//! They are the files of docs/help and docs/refusals.md, in the program.

use crate::domain::plan::refusal::RefusalName;

/// Markdown as lines for a terminal.
mod plain;

const REFUSALS: &str = include_str!("../../docs/refusals.md");

/// The topics, in the order in which they are listed: name, text.
const TOPICS: [(&str, &str); 5] = [
    ("releases", include_str!("../../docs/help/releases.md")),
    ("promotion", include_str!("../../docs/help/promotion.md")),
    ("recovery", include_str!("../../docs/help/recovery.md")),
    ("ci", include_str!("../../docs/help/ci.md")),
    (
        "configuration",
        include_str!("../../docs/help/configuration.md"),
    ),
];

/// From how like a word must be to be meant; 1 is the same.
const LIKE: f64 = 0.7;

/// A refusal, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Its name.
    pub name: &'static str,
    /// Whether `--allow` takes it.
    pub may_be_allowed: bool,
    /// What it means, an example and what to do, in lines for a terminal.
    pub text: String,
}

/// The names of the topics.
#[must_use]
pub fn topics() -> Vec<String> {
    TOPICS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// The text about a topic, in lines for a terminal.
#[must_use]
pub fn topic(name: &str) -> Option<String> {
    let found = TOPICS.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| plain::text(text))
}

/// The names of what is explained: refusals of plans, of baselines and of bundles.
#[must_use]
pub fn refusals() -> Vec<String> {
    sections().map(|(name, _)| name.to_owned()).collect()
}

/// What a refusal means.
#[must_use]
pub fn explained(asked: &str) -> Option<Explained> {
    let (name, text) = sections().find(|(name, _)| *name == asked)?;
    Some(Explained {
        name,
        may_be_allowed: name.parse().is_ok_and(RefusalName::is_allowable),
        text: plain::text(&format!("# {name}\n{text}")),
    })
}

/// What is written about each refusal: name, text.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = REFUSALS.split("\n## ").skip(1);
    sections.filter_map(|section| section.split_once('\n'))
}

/// The known word that a wrong one is most like.
#[must_use]
pub fn nearest(asked: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|word| (strsim::jaro_winkler(asked, &word), word))
        .filter(|(like, _)| *like >= LIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests;
