//! The stand-in with a real server's costs, what a release asked of it, and the limits for that.
//!
//! `CUTOVER_BENCH_COSTS` is the factor (1, an optimised server, unless set); 0 turns the costs off, and with them the
//! limits that depend on time.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use mz_sandbox::{Costs, Options, prices};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What a release may need at most. Each is a line that no later change may cross unnoticed; where one is `None`, that
/// figure is no limit for the project.
pub struct Limits {
    /// Releases by each side; their median counts, of memory the most.
    pub releases: usize,
    /// Cutover's own work: wall time less dbt's processes and the wait for readiness, with costs off.
    pub own: Duration,
    /// Peak resident memory of Cutover's process, in MB.
    pub peak_mb: f64,
    /// Wall time less dbt's processes, as a multiple of [`Floor::time`].
    pub times_the_floor: Option<f64>,
    /// Time in the state that builds, as a multiple of [`Floor::creating`].
    pub times_creating: Option<f64>,
    /// Wall time with everything, as a multiple of the five macros'.
    pub times_the_macros: Option<f64>,
    /// The same, of the macros' without the one that waits for readiness.
    pub times_the_macros_without_await: Option<f64>,
    /// The same of a release in which one model comes out differently and all are built.
    pub one_changed_times_the_macros_without_await: Option<f64>,
    /// Time in the state that builds, as a multiple of `dbt build`.
    pub times_dbt_build: Option<f64>,
    /// What a description of every node adds to planning, as a multiple of the time in the state that builds.
    pub describing_times_building: Option<f64>,
    /// Questions about the catalog that need a dataflow of their own.
    pub dataflows: u64,
    /// Statements that change the catalog, as a multiple of those that the project needs.
    pub times_the_ddl: f64,
}

/// The limits of a full release of the small project.
pub const SMALL: Limits = Limits {
    releases: 3,
    own: Duration::from_secs(1),
    peak_mb: 40.0,
    times_the_floor: Some(1.5),
    times_creating: None,
    times_the_macros: Some(0.7),
    times_the_macros_without_await: None,
    one_changed_times_the_macros_without_await: None,
    times_dbt_build: None,
    describing_times_building: None,
    dataflows: 5,
    times_the_ddl: 1.75,
};

/// The limits of a full release of the large project.
pub const LARGE: Limits = Limits {
    releases: 1,
    own: Duration::from_secs(5),
    peak_mb: 60.0,
    times_the_floor: None,
    times_creating: Some(1.15),
    times_the_macros: None,
    times_the_macros_without_await: Some(0.5),
    one_changed_times_the_macros_without_await: Some(0.5),
    times_dbt_build: Some(1.0 / 3.0),
    describing_times_building: Some(0.3),
    dataflows: 5,
    times_the_ddl: 1.75,
};

/// The costs to start the stand-in with.
pub fn costs() -> Option<Costs> {
    let factor: f64 = match std::env::var_os("CUTOVER_BENCH_COSTS") {
        Some(text) => text.to_str().unwrap().parse().unwrap(),
        None => 1.0,
    };
    assert!(
        factor.is_finite() && factor >= 0.0,
        "CUTOVER_BENCH_COSTS is {factor}, not a factor"
    );
    (factor > 0.0).then_some(Costs {
        factor,
        readiness: true,
    })
}

/// Options of a stand-in with these costs.
pub fn options(costs: Option<Costs>) -> Options {
    Options {
        costs,
        ..Options::default()
    }
}

/// What the server cannot be spared for a project. Relations of the old side are dropped without CASCADE, which would
/// take with it what nobody planned to lose; so one statement drops no more than what nothing depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Floor {
    pub schemas: u32,
    pub clusters: u32,
    pub tables: u32,
    pub views: u32,
    pub materialized_views: u32,
    pub indexes: u32,
    /// Statements that drop all relations.
    pub drops: u32,
}

impl Floor {
    /// Statements that make green, swap it in and take the old side down.
    pub fn ddl(&self) -> u32 {
        let made = self.relations() + self.indexes;
        let sides = self.schemas + self.clusters;
        // Each schema and cluster is made, swapped and dropped; one COMMIT.
        made + self.drops + 3 * sides + 1
    }

    fn relations(&self) -> u32 {
        self.tables + self.views + self.materialized_views
    }

    /// How long the statements take that make the relations and indexes of the project, at a factor.
    pub fn creating(&self, factor: f64) -> Duration {
        let of = |count: u32, ms: f64| f64::from(count) * ms;
        let ms = of(
            self.tables,
            prices::CREATE_MATERIALIZED_VIEW + prices::COMMIT,
        ) + of(self.views, prices::CREATE_VIEW)
            + of(self.materialized_views, prices::CREATE_MATERIALIZED_VIEW)
            + of(self.indexes, prices::CREATE_INDEX);
        Duration::from_secs_f64(ms * factor / 1000.0)
    }

    /// How long they and the wait for green take, at a factor.
    pub fn time(&self, factor: f64) -> Duration {
        let of = |count: u32, ms: f64| f64::from(count) * ms;
        let ms = of(
            self.schemas,
            prices::CREATE_SCHEMA + prices::SWAP + prices::DROP,
        ) + of(
            self.clusters,
            prices::CREATE_CLUSTER + prices::REPLICA + prices::SWAP + prices::DROP_CLUSTER,
        ) + of(self.drops, prices::DROP)
            + prices::BEGIN
            + prices::COMMIT
            + prices::LAG_KNOWN;
        self.creating(factor) + Duration::from_secs_f64(ms * factor / 1000.0)
    }
}

/// What one kind of client asked: how many statements, and their prices in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    pub statements: u64,
    pub cost_ms: f64,
}

/// Counters of the stand-in by client (`cutover`, `dbt`), class, and whose relations were read.
#[derive(Debug, Default)]
pub struct Counters(pub BTreeMap<(String, String, String), Asked>);

impl Counters {
    /// Begins to count anew.
    pub async fn begin(client: &tokio_postgres::Client) {
        client
            .batch_execute("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'; DELETE FROM mz_sandbox.statements")
            .await
            .unwrap();
    }

    /// What has been counted.
    pub async fn read(client: &tokio_postgres::Client) -> Self {
        let rows = client
            .query(
                "SELECT application_name, class, reads, statements::text, cost_ms::text FROM mz_sandbox.counters",
                &[],
            )
            .await
            .unwrap();
        let mut counters = Self::default();
        for row in rows {
            let application: String = row.get(0);
            let who = if application.starts_with("cutover") {
                "cutover"
            } else {
                "dbt"
            };
            let asked = counters
                .0
                .entry((who.to_owned(), row.get(1), row.get(2)))
                .or_default();
            asked.statements += row.get::<_, String>(3).parse::<u64>().unwrap();
            asked.cost_ms += row.get::<_, String>(4).parse::<f64>().unwrap();
        }
        counters
    }

    /// How many statements of a client's are of these classes; of any relations if `reads` is none.
    pub fn count(&self, who: &str, class: &str, reads: Option<&str>) -> u64 {
        self.0
            .iter()
            .filter(|((w, c, r), _)| w == who && c == class && reads.is_none_or(|reads| reads == r))
            .map(|(_, asked)| asked.statements)
            .sum()
    }

    /// How long the server is busy with what a client changes, and how long hydration and lag take after it, at a
    /// factor: what the release could not be quicker than, sending what it sends.
    pub fn changes(&self, who: &str, factor: f64) -> Duration {
        let changes = self
            .0
            .iter()
            .filter(|((w, class, _), _)| w == who && matches!(class.as_str(), "ddl" | "write"))
            .map(|(_, asked)| asked.cost_ms);
        let ms = changes.sum::<f64>() + prices::LAG_KNOWN * factor;
        Duration::from_secs_f64(ms / 1000.0)
    }

    /// A Markdown table.
    pub fn table(&self) -> String {
        let mut out =
            "| asked by | class | relations | statements | price |\n|---|---|---|---|---|\n"
                .to_owned();
        for ((who, class, reads), asked) in &self.0 {
            let _ = writeln!(
                out,
                "| {who} | {class} | {reads} | {} | {:.2} s |",
                asked.statements,
                asked.cost_ms / 1000.0
            );
        }
        out
    }
}
