//! Questions to the catalog that are cheap by their form: columns of one relation under a filter by
//! literals. What belongs together is joined here and not on the server.

use super::cost::Cost;
use crate::foundation::sql::identifier::Literal;
use std::fmt::Write as _;

/// The most literals in one question: the server plans each of them, so that a longer list is asked for
/// in parts.
const MOST_LITERALS: usize = 300;

/// A relation of the server's catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: &'static str,
    /// Whether the server keeps an index on it, so that a filter over it is answered from there.
    pub(super) indexed: bool,
}

const fn indexed(name: &'static str) -> Relation {
    Relation {
        name,
        indexed: true,
    }
}

const fn unindexed(name: &'static str) -> Relation {
    Relation {
        name,
        indexed: false,
    }
}

/// Measured, or listed among the server's own indexes (`mz_indexes` of the cluster `mz_catalog_server`).
pub(super) mod relation {
    use super::{Relation, indexed, unindexed};

    pub(in crate::adapters::materialize) const CLUSTERS: Relation =
        indexed("mz_catalog.mz_clusters");
    pub(in crate::adapters::materialize) const COLUMNS: Relation = indexed("mz_catalog.mz_columns");
    pub(in crate::adapters::materialize) const COMMENTS: Relation =
        indexed("mz_internal.mz_comments");
    pub(in crate::adapters::materialize) const DATABASES: Relation =
        indexed("mz_catalog.mz_databases");
    pub(in crate::adapters::materialize) const DEFAULT_PRIVILEGES: Relation =
        unindexed("mz_catalog.mz_default_privileges");
    pub(in crate::adapters::materialize) const DEPENDENCIES: Relation =
        indexed("mz_internal.mz_object_dependencies");
    pub(in crate::adapters::materialize) const FRONTIERS: Relation =
        indexed("mz_internal.mz_frontiers");
    pub(in crate::adapters::materialize) const HYDRATION: Relation =
        indexed("mz_internal.mz_hydration_statuses");
    pub(in crate::adapters::materialize) const INDEXES: Relation = indexed("mz_catalog.mz_indexes");
    pub(in crate::adapters::materialize) const LAG: Relation =
        unindexed("mz_internal.mz_materialization_lag");
    pub(in crate::adapters::materialize) const MATERIALIZED_VIEWS: Relation =
        indexed("mz_catalog.mz_materialized_views");
    pub(in crate::adapters::materialize) const OBJECTS: Relation = indexed("mz_catalog.mz_objects");
    pub(in crate::adapters::materialize) const REPLACEMENTS: Relation =
        unindexed("mz_internal.mz_replacements");
    pub(in crate::adapters::materialize) const REPLICAS: Relation =
        indexed("mz_catalog.mz_cluster_replicas");
    pub(in crate::adapters::materialize) const REPLICA_HISTORY: Relation =
        indexed("mz_internal.mz_cluster_replica_status_history");
    pub(in crate::adapters::materialize) const REPLICA_SIZES: Relation =
        indexed("mz_catalog.mz_cluster_replica_sizes");
    pub(in crate::adapters::materialize) const REPLICA_STATUSES: Relation =
        indexed("mz_internal.mz_cluster_replica_statuses");
    pub(in crate::adapters::materialize) const ROLES: Relation = indexed("mz_catalog.mz_roles");
    pub(in crate::adapters::materialize) const ROLE_MEMBERS: Relation =
        unindexed("mz_catalog.mz_role_members");
    pub(in crate::adapters::materialize) const SCHEMAS: Relation = indexed("mz_catalog.mz_schemas");
    pub(in crate::adapters::materialize) const SESSIONS: Relation =
        indexed("mz_internal.mz_sessions");
    pub(in crate::adapters::materialize) const SINK_STATUSES: Relation =
        indexed("mz_internal.mz_sink_statuses");
    pub(in crate::adapters::materialize) const SOURCES: Relation = indexed("mz_catalog.mz_sources");
    pub(in crate::adapters::materialize) const SUBSCRIPTIONS: Relation =
        unindexed("mz_internal.mz_subscriptions");
    pub(in crate::adapters::materialize) const SYSTEM_PRIVILEGES: Relation =
        unindexed("mz_catalog.mz_system_privileges");
    pub(in crate::adapters::materialize) const TABLES: Relation = indexed("mz_catalog.mz_tables");
    pub(in crate::adapters::materialize) const WALLCLOCK: Relation =
        indexed("mz_internal.mz_wallclock_global_lag_recent_history");

    /// Every relation that has an index.
    #[cfg(test)]
    pub(in crate::adapters::materialize) const INDEXED: [Relation; 21] = [
        CLUSTERS,
        COLUMNS,
        COMMENTS,
        DATABASES,
        DEPENDENCIES,
        FRONTIERS,
        HYDRATION,
        INDEXES,
        MATERIALIZED_VIEWS,
        OBJECTS,
        REPLICAS,
        REPLICA_HISTORY,
        REPLICA_SIZES,
        REPLICA_STATUSES,
        ROLES,
        SCHEMAS,
        SESSIONS,
        SINK_STATUSES,
        SOURCES,
        TABLES,
        WALLCLOCK,
    ];
}

/// Which rows of a relation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter<'a> {
    /// All.
    All,
    /// Those of users: ids of this column that begin with `u`.
    Users(&'static str),
    /// Those whose column has one of these texts.
    In(&'static str, &'a [&'a str]),
    /// Those of which one column or the other has one of its texts. One scan of the relation's index, where two
    /// questions would be two.
    Either([(&'static str, &'a [&'a str]); 2]),
}

impl Filter<'_> {
    /// As a condition; `None` of all rows, and of none.
    pub(super) fn condition(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Users(column) => Some(format!("{column} LIKE 'u%'")),
            Self::In(_, []) => None,
            Self::In(column, texts) => {
                let texts: Vec<String> =
                    texts.iter().map(|text| Literal(text).to_string()).collect();
                Some(format!("{column} IN ({})", texts.join(", ")))
            }
            Self::Either([(one, texts), (other, others)]) => {
                let one = Self::In(one, texts).condition();
                let other = Self::In(other, others).condition();
                match (one, other) {
                    (Some(one), Some(other)) => Some(format!("({one} OR {other})")),
                    (one, other) => one.or(other),
                }
            }
        }
    }
}

/// One question: what is asked, its name, and what answering it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    label: &'static str,
    sql: String,
    cost: Cost,
}

impl Question {
    /// Columns of one relation, each as text. `columns` are names or expressions of one row; `and` is one
    /// more condition of one row. A list of literals gives one question for each [`MOST_LITERALS`], and
    /// an empty one gives none.
    pub(super) fn select(
        label: &'static str,
        relation: Relation,
        columns: &[&str],
        filter: Filter<'_>,
        and: Option<&str>,
    ) -> Vec<Self> {
        let mut head = String::from("SELECT ");
        for (number, column) in columns.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(head, "{comma}{column}::text");
        }
        let _ = write!(head, " FROM {}", relation.name);
        let cost = match relation.indexed {
            true => Cost::Peek,
            false => Cost::Dataflow,
        };
        let one = |filter: Filter<'_>| {
            let condition = filter.condition();
            let conditions: Vec<&str> = condition.iter().map(String::as_str).chain(and).collect();
            let sql = match conditions.is_empty() {
                true => head.clone(),
                false => format!("{head} WHERE {}", conditions.join(" AND ")),
            };
            Self { label, sql, cost }
        };
        match filter {
            Filter::All | Filter::Users(_) => vec![one(filter)],
            Filter::In(column, texts) => texts
                .chunks(MOST_LITERALS)
                .map(|texts| one(Filter::In(column, texts)))
                .collect(),
            Filter::Either([(_, texts), (_, others)])
                if !texts.is_empty()
                    && !others.is_empty()
                    && texts.len() + others.len() <= MOST_LITERALS =>
            {
                vec![one(filter)]
            }
            Filter::Either(lists) => lists
                .into_iter()
                .flat_map(|(column, texts)| {
                    let filter = Filter::In(column, texts);
                    Self::select(label, relation, columns, filter, and)
                })
                .collect(),
        }
    }

    /// Functions of the session alone, which the server works out while it plans.
    pub(super) fn constant(label: &'static str, sql: &str) -> Self {
        Self {
            label,
            sql: sql.to_owned(),
            cost: Cost::Peek,
        }
    }

    /// The name.
    pub(super) fn label(&self) -> &'static str {
        self.label
    }

    /// The question without its name.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// What answering it costs.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }
}

/// Whether a text has the form of a question that is answered from one index: `SELECT` columns of one
/// indexed relation under conditions on one row, or functions of the session and no relation at all.
#[cfg(test)]
pub(super) fn is_peek(sql: &str) -> bool {
    let folded: String = {
        // Literals may hold any words.
        let mut inside = false;
        sql.chars()
            .filter(|character| {
                if *character == '\'' {
                    inside = !inside;
                    return true;
                }
                !inside
            })
            .collect::<String>()
            .to_lowercase()
    };
    let words: Vec<&str> = folded
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
        .filter(|word| !word.is_empty())
        .collect();
    let forbidden = [
        "join",
        "union",
        "group",
        "order",
        "distinct",
        "having",
        "limit",
        "count",
        "sum",
        "max",
        "min",
        "bool_and",
        "unnest",
        "exists",
        "with",
        "except",
        "pg_has_role",
        "mz_internal.mz_aclexplode",
        "mz_aclexplode",
    ];
    let begins = words.first() == Some(&"select");
    let selects = words.iter().filter(|word| **word == "select").count();
    let froms: Vec<&str> = words
        .windows(2)
        .filter(|pair| pair[0] == "from" && pair[1].contains('.'))
        .map(|pair| pair[1])
        .collect();
    // `extract(epoch FROM column)` has the word, and no relation behind it.
    let known = |name: &&str| relation::INDEXED.iter().any(|it| it.name == *name);
    let commas = folded.split_once(" from mz_").is_some_and(|(_, rest)| {
        rest.split(" where ")
            .next()
            .is_some_and(|it| it.contains(','))
    });
    begins
        && selects == 1
        && froms.len() <= 1
        && froms.iter().all(known)
        && !commas
        && !words
            .iter()
            .any(|word| forbidden.contains(word) || word.starts_with("has_"))
}

#[cfg(test)]
mod tests {
    use super::{Filter, MOST_LITERALS, Question, is_peek, relation};
    use crate::adapters::materialize::cost::Cost;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_question_is_one_select() {
        let asked = Question::select(
            "objects",
            relation::OBJECTS,
            &["id", "name"],
            Filter::In("id", &["u1", "it's"]),
            Some("type <> 'index'"),
        );
        let [question] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!(
            question.sql(),
            "SELECT id::text, name::text FROM mz_catalog.mz_objects WHERE id IN ('u1', 'it''s') AND type <> 'index'"
        );
        assert_eq!(question.cost(), Cost::Peek);
        assert!(is_peek(question.sql()));
    }

    #[test]
    fn long_lists_are_parted_and_empty_ones_are_not_asked() {
        let ids: Vec<String> = (0..=2 * MOST_LITERALS).map(|n| format!("u{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let of = |ids: &[&str]| {
            Question::select(
                "objects",
                relation::OBJECTS,
                &["id"],
                Filter::In("id", ids),
                None,
            )
        };
        assert_eq!(of(&ids).len(), 3);
        let all: String = of(&ids).iter().map(Question::sql).collect();
        assert!(ids.iter().all(|id| all.contains(&format!("'{id}'"))));
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn what_needs_a_dataflow_is_no_peek() {
        for sql in [
            "SELECT count(*) FROM mz_catalog.mz_objects",
            "SELECT o.id FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id",
            "SELECT o.id FROM mz_catalog.mz_objects o, mz_catalog.mz_schemas s WHERE s.id = o.schema_id",
            "SELECT id FROM mz_catalog.mz_objects ORDER BY 1",
            "SELECT id FROM mz_catalog.mz_objects UNION ALL SELECT id FROM mz_catalog.mz_schemas",
            "SELECT unnest(privileges) FROM mz_catalog.mz_schemas",
            "SELECT has_system_privilege(current_role, 'CREATECLUSTER')",
            "SELECT pg_has_role(current_role, name, 'USAGE') FROM mz_catalog.mz_roles",
            "SELECT object_id FROM mz_internal.mz_materialization_lag WHERE object_id IN ('u1')",
            "SELECT id FROM mz_catalog.mz_objects WHERE id IN (SELECT id FROM mz_catalog.mz_tables)",
        ] {
            assert!(!is_peek(sql), "{sql}");
        }
        assert!(is_peek(
            "SELECT current_database()::text, mz_environment_id()::text"
        ));
        assert!(is_peek(
            "SELECT (extract(epoch FROM lag) * 1000)::text FROM mz_internal.mz_wallclock_global_lag_recent_history"
        ));
    }

    /// What a release asks again and again is a peek, but for what has no index and is asked once.
    #[test]
    fn each_question_has_the_form_of_what_it_is_declared_to_be() {
        let of_a_look = crate::adapters::materialize::catalog::every_question();
        let of_a_reading = crate::adapters::materialize::reading::every_question();
        let mut dataflows = BTreeSet::new();
        for question in of_a_look.iter().chain(&of_a_reading) {
            let sql = question.sql();
            if question.cost() == Cost::Peek {
                assert!(is_peek(sql), "{sql}");
                continue;
            }
            assert_eq!(question.cost(), Cost::Dataflow, "{sql}");
            assert!(!is_peek(sql), "{sql}");
            dataflows.insert(question.label());
        }
        let expected = [
            "default privileges",
            "readiness",
            "replacements",
            "role members",
            "subscriptions",
            "system privileges",
        ];
        assert_eq!(dataflows, expected.into());
    }

    proptest! {
        #[test]
        fn a_text_stays_one_literal(text in "[^\\x00]{0,40}") {
            let asked = Question::select("s", relation::SCHEMAS, &["id"], Filter::In("name", &[&text]), None);
            let sql = asked[0].sql();
            let inner = sql.strip_prefix("SELECT id::text FROM mz_catalog.mz_schemas WHERE name IN ('")
                .and_then(|rest| rest.strip_suffix("')"));
            prop_assert_eq!(inner.map(|inner| inner.replace("''", "'")), Some(text));
        }
    }
}
