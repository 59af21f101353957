//! What people are told, before anybody knows how: facts of one message, the words for them, and templates over them.

use crate::domain::checks::render_text;
use crate::domain::plan::owner::Owner;
use crate::foundation::word::words;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The longest title, and the longest text, in characters; what is longer is cut.
pub const LONGEST_TITLE: usize = 140;
/// See [`LONGEST_TITLE`].
pub const LONGEST_TEXT: usize = 2800;

/// How many nodes and owners are named at most.
pub const MOST_NAMED: usize = 20;

words! {
    /// How bad it is; PagerDuty's words.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Level {
        /// It is as it should be.
        Info = "info",
        /// Somebody should know.
        Warning = "warning",
        /// Something failed; production serves.
        Error = "error",
        /// A person must look now.
        Critical = "critical",
    }
}

/// One message with everything that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The message's id, the same however often it is told.
    pub id: String,
    /// The word of the topic; `test` of a test.
    pub topic: String,
    /// How bad it is.
    pub level: Level,
    /// The environment.
    pub environment: String,
    /// The deployment, where it is about one.
    pub deployment: Option<String>,
    /// The deployment's state when the message was written.
    pub state: Option<String>,
    /// The revision of the project, where it has one.
    pub revision: Option<String>,
    /// Who is behind it, in words.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When the message was written.
    pub at: Timestamp,
    /// Who owns what failed, or what changed.
    pub owners: Vec<Owner>,
    /// Unique ids of what failed, or of what changed; at most [`MOST_NAMED`].
    pub nodes: Vec<String>,
    /// How many there are.
    pub node_count: usize,
    /// The page that shows it, where the daemon says where it is reached.
    pub url: Option<String>,
    /// What it is, in a few words, without the environment.
    pub what: String,
    /// One line.
    pub title: String,
    /// What is said below it; perhaps nothing.
    pub text: String,
}

/// What a template may name, with a word about each.
pub const VARIABLES: [(&str, &str); 13] = [
    ("topic", "the word in `events`"),
    ("what", "what happened, in a few words"),
    ("level", "`info`, `warning`, `error` or `critical`"),
    ("environment", "the environment"),
    (
        "deployment",
        "the deployment's id; empty where there is none",
    ),
    ("state", "its state"),
    (
        "revision",
        "the commit of the project; empty without a repository",
    ),
    ("by", "who is behind it"),
    (
        "reason",
        "why; empty where nothing went otherwise than planned",
    ),
    ("at", "when, RFC 3339"),
    (
        "owners",
        "a list of `name`, `email` and `slack` of each owner",
    ),
    ("nodes", "a list of ids of nodes that failed or changed"),
    (
        "url",
        "the page that shows it; empty without `http.advertise`",
    ),
];

impl Notice {
    /// An example with everything, or with as little as there may be.
    #[must_use]
    pub fn sample(full: bool) -> Self {
        let some = |text: &str| full.then(|| text.to_owned());
        let owner = Owner {
            name: Some("Finance".to_owned()),
            email: Some("finance@example.com".to_owned()),
            slack: Some("#finance".to_owned()),
        };
        let mut notice = Self {
            id: "0198c3f2-7d4e-7000-8000-000000000001".to_owned(),
            topic: "failed".to_owned(),
            level: Level::Error,
            environment: "production".to_owned(),
            deployment: some("0198c3f2-7d4e-7000-8000-000000000002"),
            state: some("failed"),
            revision: some("7fd1a60b01f91b314f59955a4e4d4e80d8edf11d"),
            by: some("the schedule"),
            reason: some("a test failed"),
            at: Timestamp::UNIX_EPOCH,
            owners: if full { vec![owner] } else { Vec::new() },
            nodes: some("model.shop.orders").into_iter().collect(),
            node_count: usize::from(full),
            url: some("https://cutover.example.com/#/deployments/0198c3f2"),
            what: "a release failed; production was not changed".to_owned(),
            title: String::new(),
            text: String::new(),
        };
        notice.word(None, None);
        notice
    }

    /// What a template may name; see [`VARIABLES`].
    #[must_use]
    pub fn variables(&self) -> Value {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let owners = self.owners.iter().map(|owner| {
            json!({"name": text(&owner.name), "email": text(&owner.email), "slack": text(&owner.slack)})
        });
        json!({
            "topic": self.topic, "what": self.what, "level": self.level.as_str(), "environment": self.environment,
            "deployment": text(&self.deployment), "state": text(&self.state), "revision": text(&self.revision),
            "by": text(&self.by), "reason": text(&self.reason), "at": self.at.to_string(),
            "owners": Vec::from_iter(owners), "nodes": self.nodes, "url": text(&self.url),
        })
    }

    /// Words title and text by templates; what is not templated, or cannot be rendered, gets the usual words. Gives
    /// what was wrong with a template.
    pub fn word(&mut self, title: Option<&str>, text: Option<&str>) -> Vec<String> {
        let variables = self.variables();
        let mut wrong = Vec::new();
        let mut by = |written: Option<&str>| {
            let rendered = render_text(written?, &variables);
            rendered.map_err(|why| wrong.push(why)).ok()
        };
        let (title, text) = (by(title), by(text));
        let title = title.unwrap_or_else(|| format!("{}: {}", self.environment, self.what));
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        self.title = cut(&title, LONGEST_TITLE);
        let text = text.unwrap_or_else(|| self.reason.clone().unwrap_or_default());
        self.text = cut(text.trim(), LONGEST_TEXT);
        wrong
    }

    /// What is known beside title and text, as pairs of a heading and words.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("Environment", self.environment.clone())];
        let some = [
            ("State", &self.state),
            ("Revision", &self.revision),
            ("By", &self.by),
            ("Deployment", &self.deployment),
        ];
        let some = some.into_iter();
        facts.extend(some.filter_map(|(name, value)| Some((name, value.clone()?))));
        if !self.nodes.is_empty() {
            let mut named = self.nodes.join(", ");
            if let Some(more @ 1..) = self.node_count.checked_sub(self.nodes.len()) {
                named.push_str(&format!(" and {more} more"));
            }
            facts.push(("Nodes", named));
        }
        let owners: Vec<&str> = self.owners.iter().map(Owner::label).collect();
        if !owners.is_empty() {
            facts.push(("Owners", owners.join(", ")));
        }
        facts
    }
}

/// The beginning of a text, with a sign where something was cut off.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// What is wrong with a template of a title or a text; `None` where it is good whatever is known of a message.
#[must_use]
pub fn template_fault(written: &str) -> Option<String> {
    [true, false]
        .into_iter()
        .find_map(|full| render_text(written, &Notice::sample(full).variables()).err())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_TITLE, Notice, VARIABLES, cut, template_fault};

    #[test]
    fn a_template_may_name_what_is_documented_and_nothing_else() {
        let known = Notice::sample(true).variables();
        let mut known: Vec<&String> = known.as_object().expect("an object").keys().collect();
        known.sort();
        let mut documented: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        documented.sort_unstable();
        assert_eq!(known, documented);
        for (name, _) in VARIABLES {
            assert_eq!(template_fault(&format!("{{{{ {name} }}}}")), None);
        }
        let said = template_fault("all is\n{{ revison }}").expect("a fault");
        assert!(
            said.contains("line 2") && said.contains("undefined"),
            "{said}"
        );
        let said = template_fault("{% if %}").expect("a fault");
        assert!(said.contains("syntax"), "{said}");
        // It names what a message may not have: known only without it.
        let first = "{{ owners[0].name }}";
        assert!(template_fault(first).is_some());
        let each = "{% for owner in owners %}{{ owner.name }} {% endfor %}";
        assert_eq!(template_fault(each), None);
        // It does not end.
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(template_fault(endless).is_some());
    }

    #[test]
    fn a_title_is_one_short_line() {
        let mut notice = Notice::sample(true);
        assert_eq!(
            notice.title,
            "production: a release failed; production was not changed"
        );
        let wrong = notice.word(Some("a\n {{ reason }}"), Some("{{ gone }}"));
        assert_eq!(
            (notice.title.as_str(), notice.text.as_str()),
            ("a a test failed", "a test failed")
        );
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        notice.word(Some(&"é".repeat(500)), None);
        assert_eq!(notice.title.chars().count(), LONGEST_TITLE);
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
    }
}
