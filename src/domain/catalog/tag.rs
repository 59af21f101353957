//! Comments that mark what belongs to a deployment.
//!
//! Comments stay with the object through a rename or a swap (measured), so a tag answers "whose is
//! this?" without the journal. Where the users' own comment fits beside the tag it is kept there.

use crate::foundation::sql::identifier::MAX_COMMENT_BYTES;
use serde::{Deserialize, Serialize};

/// What a tagged thing is to its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The candidate, before the swap.
    Green,
    /// The old side, after the swap.
    Old,
    /// The control schema that fences the swap.
    Control,
}

/// The mark of a deployment on a schema or cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The deployment's id.
    pub deployment: String,
    /// Its environment.
    pub environment: String,
    /// The dbt project; `None` in tags of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The journal that knows the deployment; `None` as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// What the thing is to it.
    pub side: Side,
}

const OPENING: &str = "[cutover {";
const CLOSING: &str = "}]";

impl Tag {
    /// Whether it is of this environment of this project. Environments of two projects may have one name.
    #[must_use]
    pub fn is_of(&self, project: &str, environment: &str) -> bool {
        let is_other = |other: &String| other != project;
        self.environment == environment && !self.project.as_ref().is_some_and(is_other)
    }

    /// The comment to write: the users' text and the tag, or the tag alone when both together
    /// would be longer than the server takes.
    #[must_use]
    pub fn comment(&self, users: Option<&str>) -> String {
        let json = serde_json::json!(self);
        let tag = format!("[cutover {json}]");
        match users {
            Some(text) if text.len() + tag.len() < MAX_COMMENT_BYTES => format!("{text}\n{tag}"),
            Some(_) | None => tag,
        }
    }

    /// Splits a comment into the users' text and the tag.
    #[must_use]
    pub fn parse(comment: &str) -> (Option<&str>, Option<Tag>) {
        let users = |text: &'_ str| -> Option<usize> { (!text.is_empty()).then_some(text.len()) };
        let Some(start) = comment.rfind(OPENING) else {
            return (users(comment).map(|end| &comment[..end]), None);
        };
        let json = comment[start..]
            .strip_prefix("[cutover ")
            .filter(|rest| rest.ends_with(CLOSING))
            .and_then(|rest| rest.strip_suffix(']'));
        match json.and_then(|json| serde_json::from_slice::<Tag>(json.as_bytes()).ok()) {
            Some(tag) => {
                let before = &comment[..start];
                let before = before.strip_suffix('\n').unwrap_or(before);
                (users(before).map(|end| &before[..end]), Some(tag))
            }
            None => (users(comment).map(|end| &comment[..end]), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Side, Tag};
    use proptest::prelude::*;

    fn tag(environment: &str) -> Tag {
        Tag {
            deployment: "0199".to_owned(),
            environment: environment.to_owned(),
            project: Some("shop".to_owned()),
            journal: Some("0".repeat(32)),
            side: Side::Green,
        }
    }

    proptest! {
        #[test]
        fn tags_round_trip_with_any_users_text(text in "[^\\x00]{0,300}", environment in "[^\\x00]{1,60}") {
            let tag = tag(&environment);
            let users = (!text.is_empty()).then_some(text.as_str());
            let comment = tag.comment(users);
            prop_assert!(comment.len() <= 1024);
            let (found, parsed) = Tag::parse(&comment);
            prop_assert_eq!(parsed, Some(tag));
            if comment.starts_with(&text) {
                prop_assert_eq!(found, users);
            }
        }
    }

    #[test]
    fn a_tag_of_an_earlier_version_is_of_any_project() {
        let text = r#"[cutover {"deployment":"0199","environment":"prod","side":"green"}]"#;
        let old = Tag::parse(text).1.expect("a tag");
        assert_eq!((&old.project, &old.journal), (&None, &None));
        assert!(old.is_of("shop", "prod") && !old.is_of("shop", "dev"));
        let new = tag("prod");
        assert!(new.is_of("shop", "prod") && !new.is_of("bank", "prod"));
    }

    #[test]
    fn a_users_comment_is_no_tag() {
        assert_eq!(
            Tag::parse("[cutover is great]"),
            (Some("[cutover is great]"), None)
        );
        assert_eq!(Tag::parse(""), (None, None));
        let long = "x".repeat(1000);
        assert_eq!(Tag::parse(&tag("e").comment(Some(&long))).0, None);
    }
}
