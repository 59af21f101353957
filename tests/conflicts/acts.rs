//! What somebody does behind a release's back, and where the release is then.

use crate::support::{Sql, World};

const SWAPPED: [&str; 5] = [
    "SCHEMA shop_staging",
    "SCHEMA shop_marts",
    "SCHEMA shop_serving",
    "CLUSTER shop_compute",
    "CLUSTER shop_serve",
];

/// Where the release is when somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Building,
    Hydrating,
    Ready,
    /// After the rehearsal of the promotion, before the swap's transaction.
    BeforeSwap,
    /// In the swap's transaction, after its look at the catalog.
    InSwap,
    /// After COMMIT, before its result is recorded.
    AfterSwap,
    Soaking,
    CleaningUp,
}

pub const EVERY_STEP: [Step; 8] = [
    Step::Building,
    Step::Hydrating,
    Step::Ready,
    Step::BeforeSwap,
    Step::InSwap,
    Step::AfterSwap,
    Step::Soaking,
    Step::CleaningUp,
];

/// What somebody does. "Aside" is the side that does not serve at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    SwapOne,
    SwapAll,
    RenameServing,
    RenameAside,
    RenameAsideCluster,
    DropAsideObject,
    DropAsideSchema,
    ViewInServing,
    ViewInAside,
    ViewOnServing,
    ViewOnAside,
}

pub const ACTS: [Act; 11] = [
    Act::SwapOne,
    Act::SwapAll,
    Act::RenameServing,
    Act::RenameAside,
    Act::RenameAsideCluster,
    Act::DropAsideObject,
    Act::DropAsideSchema,
    Act::ViewInServing,
    Act::ViewInAside,
    Act::ViewOnServing,
    Act::ViewOnAside,
];

/// The two sides of `shop_marts` and of the compute cluster, by id.
pub struct Sides {
    pub serving: String,
    pub aside: String,
    pub aside_cluster: String,
}

pub async fn schema_id(sql: &Sql, name: &str) -> String {
    sql.value(&format!(
        "SELECT id::text FROM mz_catalog.mz_schemas WHERE name = '{name}'"
    ))
    .await
}

pub async fn schema_name(sql: &Sql, id: &str) -> String {
    sql.value(&format!(
        "SELECT name::text FROM mz_catalog.mz_schemas WHERE id = '{id}'"
    ))
    .await
}

pub async fn cluster_name(sql: &Sql, id: &str) -> String {
    sql.value(&format!(
        "SELECT name::text FROM mz_catalog.mz_clusters WHERE id = '{id}'"
    ))
    .await
}

impl Sides {
    /// Reads them while the other side has its green name, or a secret one during cleanup.
    pub async fn read(world: &World) -> Self {
        let serving = schema_id(&world.sql, "shop_marts").await;
        let aside = world
            .sql
            .value(&format!(
                "SELECT schema_id::text FROM mz_catalog.mz_objects \
                 WHERE name = 'totals' AND id LIKE 'u%' AND schema_id <> '{serving}' LIMIT 1"
            ))
            .await;
        let aside_cluster = world
            .sql
            .value(&format!(
                "SELECT cluster_id::text FROM mz_catalog.mz_objects \
                 WHERE name = 'totals' AND schema_id = '{aside}'"
            ))
            .await;
        Self {
            serving,
            aside,
            aside_cluster,
        }
    }
}

impl Act {
    /// Does it; what undoes it, where anything does.
    pub async fn act(self, sql: &Sql, sides: &Sides) -> Vec<String> {
        let serving = schema_name(sql, &sides.serving).await;
        let aside = schema_name(sql, &sides.aside).await;
        let cluster = cluster_name(sql, &sides.aside_cluster).await;
        let swap_all: Vec<String> = std::iter::once("BEGIN".to_owned())
            .chain(SWAPPED.map(|one| {
                let name = one.split(' ').next_back().expect("a name");
                format!("ALTER {one} SWAP WITH {name}_dbt_deploy")
            }))
            .chain(std::iter::once("COMMIT".to_owned()))
            .collect();
        let (does, undoes): (Vec<String>, Vec<String>) = match self {
            Self::SwapOne => {
                let swap = format!("ALTER SCHEMA {serving} SWAP WITH {aside}");
                (vec![swap.clone()], vec![swap])
            }
            Self::SwapAll => (swap_all.clone(), swap_all),
            Self::RenameServing => (
                vec![format!("ALTER SCHEMA {serving} RENAME TO renamed")],
                vec![format!("ALTER SCHEMA renamed RENAME TO {serving}")],
            ),
            Self::RenameAside => (
                vec![format!("ALTER SCHEMA {aside} RENAME TO renamed")],
                vec![format!("ALTER SCHEMA renamed RENAME TO {aside}")],
            ),
            Self::RenameAsideCluster => (
                vec![format!("ALTER CLUSTER {cluster} RENAME TO renamed")],
                vec![format!("ALTER CLUSTER renamed RENAME TO {cluster}")],
            ),
            Self::DropAsideObject => (
                vec![format!("DROP MATERIALIZED VIEW {aside}.counts CASCADE")],
                Vec::new(),
            ),
            Self::DropAsideSchema => (vec![format!("DROP SCHEMA {aside} CASCADE")], Vec::new()),
            Self::ViewInServing => (
                vec![format!("CREATE VIEW {serving}.theirs AS SELECT 1 AS one")],
                vec!["DROP VIEW theirs".to_owned()],
            ),
            Self::ViewInAside => (
                vec![format!("CREATE VIEW {aside}.theirs AS SELECT 1 AS one")],
                vec!["DROP VIEW theirs".to_owned()],
            ),
            Self::ViewOnServing => (
                vec![format!(
                    "CREATE VIEW others.theirs AS SELECT * FROM {serving}.totals"
                )],
                vec!["DROP VIEW theirs".to_owned()],
            ),
            Self::ViewOnAside => (
                vec![format!(
                    "CREATE VIEW others.theirs AS SELECT * FROM {aside}.totals"
                )],
                vec!["DROP VIEW theirs".to_owned()],
            ),
        };
        for statement in does {
            sql.run(&statement).await;
        }
        undoes
    }

    pub async fn undo(undoes: Vec<String>, sql: &Sql) {
        for statement in undoes {
            // Swaps may have moved it.
            if statement == "DROP VIEW theirs" {
                let schema = sql
                    .value(
                        "SELECT s.name::text FROM mz_catalog.mz_schemas s \
                         JOIN mz_catalog.mz_objects o ON o.schema_id = s.id WHERE o.name = 'theirs'",
                    )
                    .await;
                sql.run(&format!("DROP VIEW {schema}.theirs")).await;
            } else {
                sql.run(&statement).await;
            }
        }
    }

    /// Whether it adds something of its own, which must survive.
    pub fn adds(self) -> bool {
        matches!(
            self,
            Self::ViewInServing | Self::ViewInAside | Self::ViewOnServing | Self::ViewOnAside
        )
    }

    /// Whether what it adds goes with green: it appears there while dbt runs.
    pub fn goes_with_green(self, step: Step) -> bool {
        (step, self) == (Step::Building, Self::ViewInAside)
    }

    /// Whether it spoils production itself.
    pub fn breaks(self, step: Step) -> bool {
        matches!(self, Self::SwapOne | Self::RenameServing)
            // Green is empty then.
            || (step == Step::Building && self == Self::SwapAll)
    }

    /// What does not concern the release any more, or not yet, at this step.
    pub fn is_harmless(self, step: Step) -> bool {
        match step {
            // The other side matters when it is cleaned up.
            Step::AfterSwap => !matches!(self, Self::SwapOne | Self::SwapAll | Self::RenameServing),
            // Production is not the release's business any more.
            Step::Soaking | Step::CleaningUp => matches!(
                self,
                Self::RenameServing
                    | Self::ViewInServing
                    | Self::ViewOnServing
                    | Self::DropAsideObject
                    | Self::DropAsideSchema
            ),
            Step::Building | Step::Hydrating | Step::Ready | Step::BeforeSwap | Step::InSwap => {
                false
            }
        }
    }

    /// One of these is in the reason.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::SwapOne | Self::SwapAll => &["foreign-swap"],
            Self::RenameServing | Self::RenameAside => &["shop_marts", "schema_"],
            Self::RenameAsideCluster => &["shop_compute", "cluster_"],
            Self::DropAsideObject => &["counts"],
            Self::DropAsideSchema => &["shop_marts", "schema_"],
            Self::ViewInServing | Self::ViewInAside => {
                &["unmanaged-object", "theirs", "still contains", "schema_"]
            }
            Self::ViewOnServing | Self::ViewOnAside => &["outside-dependent", "theirs"],
        }
    }
}

/// Whether it can be done there.
pub fn applies(step: Step, act: Act) -> bool {
    !matches!(
        (step, act),
        // Nothing is in green yet.
        (Step::Building, Act::DropAsideObject | Act::ViewOnAside)
            // The other side has a secret name, so nobody swaps with it by accident.
            | (Step::CleaningUp, Act::SwapOne | Act::SwapAll)
    )
}
