//! `run_results.json` as dbt writes it (schema v6), so that whoever reads dbt's reads this.

use crate::inputs::manifest::run_results::Status;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What became of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// dbt's unique id.
    pub unique_id: String,
    /// How it ended.
    pub status: Status,
    /// What the server said, or what was done.
    pub message: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// When it ended.
    pub at: Timestamp,
    /// Of a test: how many rows failed.
    pub failures: Option<u64>,
    /// The relation that was made, as SQL.
    pub relation: Option<String>,
    /// The SQL that was run, where it was compiled.
    pub sql: Option<String>,
    /// Rows that were put into a table.
    pub rows: Option<usize>,
}

impl Ended {
    fn document(&self) -> Value {
        let ended = self.at.as_microsecond();
        // Seconds of one node are far from where this loses any.
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of one node")]
        let began = ended - (self.seconds * 1e6) as i64;
        let moment =
            |microseconds: i64| Timestamp::from_microsecond(microseconds).unwrap_or(self.at);
        let message = self.message.as_deref();
        let response = match (self.status, message) {
            (Status::Success, Some(message)) => {
                let code = match self.rows {
                    Some(_) => message.split(' ').next().unwrap_or(message),
                    None => message,
                };
                json!({"_message": message, "code": code, "rows_affected": self.rows.map_or(json!(-1), |rows| json!(rows))})
            }
            (_, _) => json!({}),
        };
        json!({
            "status": self.status.as_str(),
            "timing": [{
                "name": "execute",
                "started_at": moment(began),
                "completed_at": self.at,
            }],
            "thread_id": "Thread-1",
            "execution_time": self.seconds,
            "adapter_response": response,
            "message": message,
            "failures": self.failures,
            "unique_id": self.unique_id,
            "compiled": self.sql.is_some().then_some(true),
            "compiled_code": self.sql,
            "relation_name": self.relation,
            "batch_results": null,
        })
    }
}

/// The document of one run. `dbt` is the version that compiled what was run, `id` that of the run, `which` dbt's
/// command.
#[must_use]
pub fn document(ended: &[Ended], dbt: &str, id: &str, which: &str, now: Timestamp) -> Value {
    let elapsed: f64 = ended.iter().map(|ended| ended.seconds).sum();
    json!({
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
            "dbt_version": dbt,
            "generated_at": now,
            "invocation_id": id,
            "env": {},
        },
        "results": ended.iter().map(Ended::document).collect::<Vec<_>>(),
        "elapsed_time": elapsed,
        "args": {"which": which},
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
    use super::*;
    use crate::inputs::manifest::run_results::RunResults;
    use std::path::Path;

    #[test]
    fn what_is_written_is_read_as_of_dbt() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let ended = |id: &str, status, message: &str, rows| Ended {
            unique_id: id.to_owned(),
            status,
            message: Some(message.to_owned()),
            seconds: 0.5,
            at,
            failures: None,
            relation: Some("\"d\".\"s\".\"r\"".to_owned()),
            sql: Some("select 1".to_owned()),
            rows,
        };
        let all = [
            ended("model.a.b", Status::Success, "CREATE VIEW", None),
            ended("seed.a.c", Status::Success, "INSERT 3", Some(3)),
            ended("model.a.d", Status::Error, "no", None),
        ];
        let document = document(&all, "1.11.16", "id", "build", at);
        let response = |at: usize| document["results"][at]["adapter_response"].clone();
        assert_eq!(response(0)["code"], "CREATE VIEW");
        assert_eq!(response(1)["rows_affected"], 3);
        assert_eq!(response(1)["code"], "INSERT");
        assert_eq!(response(2), json!({}));
        assert_eq!(
            document["results"][0]["timing"][0]["started_at"],
            "2026-01-02T03:04:04.5Z"
        );
        let read = RunResults::from_slice(document.to_string().as_bytes(), Path::new("r")).unwrap();
        assert_eq!(read.results.len(), 3);
        assert_eq!(read.bad().count(), 1);
        assert_eq!(read.elapsed_time, Some(1.5));
        assert_eq!(read.metadata.dbt_version.as_deref(), Some("1.11.16"));
    }
}
