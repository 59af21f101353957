//! What is killed, where, and how it must end.

/// What is asked of the program, and how it must end.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// As the table has it.
    pub name: &'static str,
    /// Runs unharmed before.
    pub before: Option<&'static [&'static str]>,
    /// What people do in production then; `{new}` is the number of the new release.
    pub meanwhile: Option<&'static str>,
    /// `{live}` is the deployment that made live what serves before it all.
    pub command: &'static [&'static str],
    /// When a check asks a person, where one does.
    pub asks: Option<&'static str>,
    /// Whether dbt's build fails.
    pub build_fails: bool,
    /// Whether green's stored SQL names a schema in column references, so that it cannot be swapped.
    pub names_schema: bool,
    /// Whether a sink and a source of the project are missing, so that the release makes them.
    pub makes_outside: bool,
    /// The state in the end.
    pub ends: &'static str,
    /// The exit code of what leads there.
    pub code: i32,
    /// Whether the new release serves in the end.
    pub is_new: bool,
}

/// What is to be carried over to green.
const CHANGED: &str =
    "COMMENT ON MATERIALIZED VIEW shop_marts.totals IS 'for the people of release {new}'";

pub const SCENARIOS: [Scenario; 17] = [
    Scenario {
        name: "release",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "failure",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        asks: None,
        build_fails: true,
        names_schema: false,
        makes_outside: false,
        ends: "failed",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "named",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        asks: None,
        build_fails: false,
        names_schema: true,
        makes_outside: false,
        ends: "failed",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "promote",
        before: Some(&["deploy", "--promotion", "manual"]),
        meanwhile: Some(CHANGED),
        command: &["promote"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "abort",
        before: Some(&["deploy", "--promotion", "manual"]),
        meanwhile: None,
        command: &["abort"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "aborted",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "rollback",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["rollback"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "rolled_back",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "forced",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["rollback", "--force"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "rolled_back",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "cleanup",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["cleanup"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "decided",
        before: Some(&["deploy"]),
        meanwhile: Some(CHANGED),
        command: &["promote"],
        asks: Some("before"),
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "kept",
        before: Some(&["deploy"]),
        meanwhile: None,
        command: &["cleanup"],
        asks: Some("soak"),
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    // What is kept in the end is dropped before the next point.
    Scenario {
        name: "keep",
        before: None,
        meanwhile: None,
        command: &["deploy", "--keep=1h"],
        asks: None,
        build_fails: true,
        names_schema: false,
        makes_outside: false,
        ends: "kept",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "given up",
        before: Some(&["deploy", "--keep=1h"]),
        meanwhile: None,
        command: &["abort"],
        asks: None,
        build_fails: true,
        names_schema: false,
        makes_outside: false,
        ends: "aborted",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "makes way",
        before: Some(&["deploy", "--keep=1h"]),
        meanwhile: None,
        command: &["deploy"],
        asks: None,
        build_fails: true,
        names_schema: false,
        makes_outside: false,
        ends: "failed",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "swap back",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["deploy", "--to", "{live}"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: false,
        ends: "rolled_back",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "outside",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: true,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "outside_failure",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        asks: None,
        build_fails: true,
        names_schema: false,
        makes_outside: true,
        ends: "failed",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "outside_rollback",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["rollback"],
        asks: None,
        build_fails: false,
        names_schema: false,
        makes_outside: true,
        ends: "rolled_back",
        code: 0,
        is_new: false,
    },
];

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// While a statement has not run yet.
    BeforeStatement,
    /// While a statement that has run is not answered.
    AfterStatement,
    /// Before a write to the journal.
    BeforeWrite,
    /// Right after one.
    AfterWrite,
}

pub const KINDS: [Kind; 4] = [
    Kind::BeforeStatement,
    Kind::AfterStatement,
    Kind::BeforeWrite,
    Kind::AfterWrite,
];

impl Kind {
    /// Writes are fewer than statements and each is a boundary of its own.
    pub fn stride(self, of_statements: u32) -> u32 {
        match self {
            Self::BeforeStatement | Self::AfterStatement => of_statements,
            Self::BeforeWrite | Self::AfterWrite => of_statements.div_ceil(4),
        }
    }

    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeStatement => "before statement",
            Self::AfterStatement => "after statement",
            Self::BeforeWrite => "before write",
            Self::AfterWrite => "after write",
        }
    }
}

/// How a point ended right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `resume` finished it.
    Resumed,
    /// The kill came before the request was durable; asked again, it ended as asked.
    AskedAgain,
    /// The kill came after the last word was written.
    AlreadyEnded,
}
