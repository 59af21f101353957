//! The projects that are released: a small one with a seed and tests, and a large one of models alone.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use crate::budget::Floor;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A project, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shop {
    /// A seed and 10 models in a chain, in 3 schemas and on 2 clusters; a `unique` and a `not_null` test.
    Small,
    /// 200 models in a tree, in 8 schemas and on 4 clusters: every other a view, the rest materialized views with an
    /// index each.
    Large,
}

/// Models of the large project.
const MANY: usize = 200;
/// Its schemas.
const SCHEMAS: usize = 8;
/// Its clusters.
const CLUSTERS: usize = 4;

impl Shop {
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "10 models, 3 schemas, 2 clusters",
            Self::Large => "200 models, 8 schemas, 4 clusters",
        }
    }

    pub fn clusters(self) -> Vec<String> {
        match self {
            Self::Small => vec!["compute".to_owned(), "serving".to_owned()],
            Self::Large => (0..CLUSTERS).map(|n| format!("cluster_{n}")).collect(),
        }
    }

    fn schemas(self) -> Vec<String> {
        match self {
            Self::Small => ["a", "b", "c"].map(str::to_owned).to_vec(),
            Self::Large => (0..SCHEMAS).map(|n| format!("s{n}")).collect(),
        }
    }

    /// What the server cannot be spared when all of it is released.
    pub fn floor(self) -> Floor {
        match self {
            Self::Small => Floor {
                schemas: 3,
                clusters: 2,
                tables: 1,
                views: 6,
                materialized_views: 4,
                indexes: 7,
                // A chain.
                drops: 11,
            },
            Self::Large => Floor {
                schemas: 8,
                clusters: 4,
                tables: 0,
                views: 100,
                materialized_views: 100,
                indexes: 100,
                // A tree of eight levels, each of two kinds but the first and the last ones.
                drops: 15,
            },
        }
    }

    /// Writes the project, for the stand-in at this port.
    pub fn write(self, project: &Path, port: u16) {
        for part in ["models", "seeds"] {
            fs::create_dir_all(project.join(part)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(project.join(name), text).unwrap();
        let schemas = self
            .schemas()
            .into_iter()
            .map(|name| format!("shop_{name}"));
        let schemas: Vec<String> = schemas.collect();
        let clusters = self.clusters();
        write(
            "dbt_project.yml",
            &format!(
                "name: shop\nprofile: shop\nversion: '1.0'\nvars:\n  deployment:\n    prod:\n      clusters: [{}]\n      schemas: [{}]\n",
                clusters.join(", "),
                schemas.join(", ")
            ),
        );
        write(
            "profiles.yml",
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod: {{type: materialize, host: 127.0.0.1, port: {port}, user: materialize, password: '', database: materialize, schema: shop, cluster: {}, threads: 2, sslmode: disable}}\n",
                clusters[0]
            ),
        );
        if self == Self::Small {
            write(
                "seeds/orders.csv",
                "id,customer,amount\n1,a,10\n2,b,20\n3,a,5\n",
            );
            write(
                "seeds/seeds.yml",
                "seeds:\n  - name: orders\n    config: {schema: a}\n",
            );
            write(
                "models/models.yml",
                "models:\n  - name: m4\n    columns:\n      - {name: id, data_tests: [not_null, unique]}\n",
            );
        }
        self.write_models(project, 0);
    }

    /// Writes the models so that each comes out differently in each version.
    pub fn write_models(self, project: &Path, version: usize) {
        for n in 0..self.models() {
            self.write_model(project, version, n);
        }
    }

    /// Writes the last model, which nothing reads, so that it comes out differently in each version.
    pub fn write_last(self, project: &Path, version: usize) {
        self.write_model(project, version, self.models() - 1);
    }

    fn write_model(self, project: &Path, version: usize, n: usize) {
        let (config, from) = match self {
            Self::Small => (chained(n), chained_from(n)),
            Self::Large => (planted(n), planted_from(n)),
        };
        let mut text = format!("{{{{ config({config}) }}}}\n");
        let _ = writeln!(
            text,
            "select id, customer, amount + {version} - {version} as amount from {from}"
        );
        fs::write(project.join(format!("models/m{n}.sql")), text).unwrap();
    }

    fn models(self) -> usize {
        match self {
            Self::Small => 10,
            Self::Large => MANY,
        }
    }
}

/// Two views, then materialized views and views with indexes.
fn chained(n: usize) -> String {
    match n {
        0..3 => "schema='a', materialized='view'",
        3..7 => {
            "schema='b', materialized='materialized_view', cluster='compute', indexes=[{'columns': ['id']}]"
        }
        _ => "schema='c', materialized='view', cluster='serving', indexes=[{'default': True}]",
    }
    .to_owned()
}

fn chained_from(n: usize) -> String {
    match n.checked_sub(1) {
        None => "{{ ref('orders') }}".to_owned(),
        Some(parent) => format!("{{{{ ref('m{parent}') }}}}"),
    }
}

fn planted(n: usize) -> String {
    let schema = n % SCHEMAS;
    if n.is_multiple_of(2) {
        return format!("schema='s{schema}', materialized='view'");
    }
    let cluster = n % CLUSTERS;
    format!(
        "schema='s{schema}', materialized='materialized_view', cluster='cluster_{cluster}', indexes=[{{'columns': ['id']}}]"
    )
}

fn planted_from(n: usize) -> String {
    match n.checked_sub(1) {
        None => "(values (1, 'a', 10), (2, 'b', 20)) as rows (id, customer, amount)".to_owned(),
        Some(before) => format!("{{{{ ref('m{}') }}}}", before / 2),
    }
}
