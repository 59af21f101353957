//! Comments that mark what belongs to a pull request's corner.
//!
//! They say whose it is without the journal, and until when: whoever finds one that has expired may collect it.
//! They are no marks of deployments ([`super::tag`]), and nothing that looks for those sees them.
//!
//! A mark names what carries it. Whoever renames or swaps that makes it theirs: under another name the mark says
//! nothing, and what stands there is left alone.

use serde::{Deserialize, Serialize};

/// The mark of a corner on a schema or cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CornerMark {
    /// The corner's id.
    pub corner: String,
    /// What the pull request is called.
    pub name: String,
    /// The environment whose production it reads.
    pub environment: String,
    /// The dbt project.
    pub project: String,
    /// The journal that knows it.
    pub journal: String,
    /// From when on anybody may collect it: seconds since the epoch.
    pub expires: i64,
    /// What the schema or cluster that carries it is called.
    pub called: String,
}

/// What the names begin with that things of corners have before they are marked, and when they go.
pub const SECRET: &str = "cutover_ci_";

/// A name that only one corner, or one build, has.
#[must_use]
pub fn secret(corner: &str, what: &str) -> String {
    format!("{SECRET}{}_{what}", corner.replace('-', ""))
}

const OPENING: &str = "[cutover-ci {";

impl CornerMark {
    /// The comment to write.
    #[must_use]
    pub fn comment(&self) -> String {
        format!("[cutover-ci {}]", serde_json::json!(self))
    }

    /// The mark in a comment, where there is one.
    #[must_use]
    pub fn parse(comment: &str) -> Option<Self> {
        let at = comment.rfind(OPENING)?;
        let json = comment[at..].strip_prefix("[cutover-ci ")?;
        serde_json::from_slice(json.strip_suffix(']')?.as_bytes()).ok()
    }

    /// The same mark for what is called so.
    #[must_use]
    pub fn naming(&self, called: &str) -> Self {
        Self {
            called: called.to_owned(),
            ..self.clone()
        }
    }

    /// The mark of what has this name and this comment: where it names this, or the name is a secret one of its corner.
    #[must_use]
    pub fn on(name: &str, comment: Option<&str>) -> Option<Self> {
        let mark = comment.and_then(Self::parse)?;
        (mark.called == name || name.starts_with(&secret(&mark.corner, ""))).then_some(mark)
    }

    /// Whether it is of this name, environment and project, whichever journal knows it.
    #[must_use]
    pub fn is_of(&self, project: &str, environment: &str, name: &str) -> bool {
        (&*self.project, &*self.environment, &*self.name) == (project, environment, name)
    }
}

#[cfg(test)]
mod tests {
    use super::{CornerMark, secret};
    use crate::domain::catalog::tag::Tag;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_round_trip_and_are_no_tags(name in "[^\\x00]{1,100}", expires in any::<i64>()) {
            let mark = CornerMark {
                corner: "0199".to_owned(),
                name: name.clone(),
                environment: "prod".to_owned(),
                project: "shop".to_owned(),
                journal: "0".repeat(32),
                expires,
                called: "marts__7".to_owned(),
            };
            let comment = mark.comment();
            prop_assert_eq!(Tag::parse(&comment).1, None);
            let found = CornerMark::parse(&comment);
            prop_assert!(found.as_ref().is_some_and(|found| found.is_of("shop", "prod", &name)));
            prop_assert_eq!(found, Some(mark));
        }
    }

    #[test]
    fn under_another_name_a_mark_says_nothing() {
        let mark = CornerMark {
            corner: "0199-7".to_owned(),
            name: "pr-7".to_owned(),
            environment: "prod".to_owned(),
            project: "shop".to_owned(),
            journal: "0".repeat(32),
            expires: 0,
            called: "marts__pr-7".to_owned(),
        };
        let comment = mark.comment();
        let on = |name: &str| CornerMark::on(name, Some(&comment)).is_some();
        assert!(on("marts__pr-7") && on(&secret("0199-7", "look_0")));
        for other in ["marts", "marts__pr-8", "cutover_ci_01998_x"] {
            assert!(!on(other), "{other}");
        }
        assert!(
            mark.naming("marts")
                .comment()
                .contains("\"called\":\"marts\"")
        );
        assert_eq!(CornerMark::on("marts__pr-7", None), None);
    }

    #[test]
    fn a_users_comment_is_no_mark() {
        for comment in ["", "[cutover-ci is great]", "[cutover-ci {\"corner\":1}]"] {
            assert_eq!(CornerMark::parse(comment), None);
        }
    }
}
