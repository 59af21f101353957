//! A project of 2,000 models, for the real dbt.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Schemas over which the models are spread.
pub const SCHEMAS: usize = 20;
/// Clusters that compute them.
pub const CLUSTERS: usize = 5;
/// Columns of each.
pub const COLUMNS: usize = 10;
/// One in so many is changed, or reads a variable.
pub const CHANGED: usize = 100;
/// Models.
pub const DBT_MODELS: usize = 2_000;

/// The parents of a model: two before it, so that what changes early reaches far.
pub fn parents(number: usize) -> Vec<usize> {
    let both = [number / 2, number.saturating_sub(7)];
    let both: BTreeSet<usize> = both.into_iter().filter(|it| *it < number).collect();
    both.into_iter().collect()
}

/// The SQL of a model, about as long as people write it.
pub fn sql(number: usize, is_changed: bool) -> String {
    let mut sql = format!(
        "{{{{ config(materialized='{}', cluster='cluster_{}', schema='schema_{}') }}}}\n\nwith input as (\n",
        materialized(number),
        number % CLUSTERS,
        number % SCHEMAS
    );
    for parent in parents(number) {
        let _ = writeln!(
            sql,
            "    select * from {{{{ ref('model_{parent}') }}}} where column_0 > 0"
        );
    }
    sql.push_str("), refined as (\n    select\n");
    for column in 0..COLUMNS {
        let _ = writeln!(
            sql,
            "        coalesce(input.column_{column}, 0) + case when input.column_{column} > {number} then 1 else 0 end as column_{column},"
        );
    }
    let _ = write!(
        sql,
        "        {} as release\n    from input\n)\nselect * from refined\n",
        u8::from(is_changed)
    );
    sql
}

pub fn materialized(number: usize) -> &'static str {
    if number.is_multiple_of(3) {
        "materialized_view"
    } else {
        "view"
    }
}

/// A project on disk, for the real dbt.
pub struct Project {
    pub folder: PathBuf,
    pub dbt: PathBuf,
}

impl Project {
    pub fn write(folder: &Path) -> Self {
        let dbt = super::dbt::real();
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write(
            "dbt_project.yml",
            "name: shop\nprofile: shop\nversion: '1.0'\n",
        );
        write(
            "profiles.yml",
            "shop:\n  target: prod\n  outputs:\n    prod: {type: materialize, host: 127.0.0.1, port: 1, user: materialize, password: '', database: materialize, schema: shop, cluster: cluster_0, threads: 2, sslmode: disable}\n",
        );
        write(
            "macros/names.sql",
            "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}\n",
        );
        let mut described = "models:\n".to_owned();
        for number in 0..DBT_MODELS {
            write(&format!("models/model_{number}.sql"), &sql(number, false));
            let _ = write!(
                described,
                "  - name: model_{number}\n    description: What this model is for and who reads it.\n    columns:\n"
            );
            for column in 0..COLUMNS {
                let _ = writeln!(
                    described,
                    "      - {{name: column_{column}, description: What it means, data_type: bigint}}"
                );
            }
        }
        write("models/schema.yml", &described);
        Self {
            folder: folder.to_owned(),
            dbt,
        }
    }

    pub fn dbt(&self, arguments: &[&str]) -> Duration {
        let began = Instant::now();
        let output = Command::new(&self.dbt)
            .args(arguments)
            .current_dir(&self.folder)
            .env("DBT_PROFILES_DIR", &self.folder)
            .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
            .env("DBT_NO_VERSION_CHECK", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "dbt {arguments:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        began.elapsed()
    }

    /// What dbt wrote before and after one model in a hundred changed.
    pub fn manifests(&self, place: &Path) {
        fs::create_dir_all(place).unwrap();
        fs::create_dir_all(self.folder.join("state")).unwrap();
        let written = self.folder.join("target/manifest.json");
        self.dbt(&["parse"]);
        fs::copy(&written, place.join("old.json")).unwrap();
        fs::copy(&written, self.folder.join("state/manifest.json")).unwrap();
        for number in (0..DBT_MODELS).step_by(CHANGED) {
            let file = self.folder.join(format!("models/model_{number}.sql"));
            fs::write(file, sql(number, true)).unwrap();
        }
        self.dbt(&["parse"]);
        fs::copy(&written, place.join("new.json")).unwrap();
    }

    /// How long dbt needs to say what changed, without and with its partial parse.
    pub fn ls(&self) -> (Duration, Duration) {
        let ls = [
            "ls",
            "--select",
            "state:modified+",
            "--state",
            "state",
            "--quiet",
        ];
        fs::remove_file(self.folder.join("target/partial_parse.msgpack")).unwrap();
        let cold = self.dbt(&ls);
        let mut warm: Vec<Duration> = (0..3).map(|_| self.dbt(&ls)).collect();
        warm.sort();
        (cold, warm[1])
    }
}
