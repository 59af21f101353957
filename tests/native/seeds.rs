//! Seeds against the reader and the types of the installed dbt itself.

use crate::support::chance::Chance;
use cutover::planning::recipe::Seed;
use cutover::planning::recipe::seed::{Format, Value};
use serde_json::Value as Json;
use std::path::Path;
use std::process::Command;

/// Reads each file given and prints, as JSON, names, types and rows as dbt makes statements of them, or the error.
const PYTHON: &str = r#"
import datetime, decimal, json, sys
from dbt.adapters.postgres.impl import PostgresAdapter as A
from dbt_common.clients import agate_helper as h
import agate
def type_of(table, at):
    # The order of dbt.adapters.base.impl.BaseAdapter.convert_agate_type.
    for of, name in [(h.Integer, A.convert_integer_type), (agate.Number, A.convert_number_type),
                     (agate.Boolean, A.convert_boolean_type), (agate.DateTime, A.convert_datetime_type),
                     (agate.Date, A.convert_date_type), (agate.Text, A.convert_text_type)]:
        if isinstance(table.column_types[at], of):
            return name(table, at)
def show(v):
    if isinstance(v, decimal.Decimal): return ["number", str(v)]
    if isinstance(v, datetime.datetime): return ["timestamp", v.isoformat()]
    if isinstance(v, datetime.date): return ["date", v.isoformat()]
    if isinstance(v, bool): return ["boolean", v]
    return None if v is None else ["text", v]
for path in sys.argv[1:]:
    try:
        t = h.from_csv(path, {}, ',')
        print(json.dumps({"names": list(t.column_names), "types": [type_of(t, i) for i in range(len(t.column_names))],
                          "rows": [[show(v) for v in row] for row in t.rows]}))
    except Exception as e:
        print(json.dumps({"error": str(e)}))
"#;

/// What values of a column are drawn from; a column draws from a few of them.
const VALUES: [&[&str]; 10] = [
    &["1", "-2", "0", "007", "12345678901"],
    &[
        "1.0", "2.50", "-0.001", "1e3", "1,000", "$5", "5%", "nan", ".5", "5.",
    ],
    &["", " ", "null", "NULL", "Null "],
    &[
        "2024-01-05",
        "2024-1-5",
        "1999-12-31",
        "2024-02-30",
        "0000-01-01",
    ],
    &[
        "2024-01-05 10:00:00",
        "2024-01-05 23:59:59",
        "2024-01-05  1:2:3",
    ],
    &[
        "2024-01-05T10:00:00",
        "2024-01-05T10:00:00Z",
        "2024-01-05T10:00",
    ],
    &["true", "False", "TRUE", "yes", "t"],
    &[
        "a",
        "b c",
        "it's",
        "\"\"quoted\"\"",
        "x,y",
        "line\nbreak",
        "ü",
    ],
    &[
        "T1",
        "A1T2",
        "12 apples",
        "10:00",
        "1-2",
        "+1",
        "--5",
        "1_000",
    ],
    &["inf", "e", "-", ".", "%", ","],
];

fn shown(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Number(text) => serde_json::json!(["number", text]),
        Value::Text(text) => serde_json::json!(["text", text]),
        Value::Date(text) => serde_json::json!(["date", text]),
        Value::Timestamp(text) => serde_json::json!(["timestamp", text]),
        Value::Boolean(value) => serde_json::json!(["boolean", value]),
    }
}

/// One of this many, from 0.
fn below(chance: &mut Chance, number: usize) -> usize {
    let most = u64::try_from(number - 1).expect("a number");
    usize::try_from(chance.between(0, most)).expect("a number")
}

/// Numbers count by value: Python drops leading zeros.
fn by_value(value: &Json) -> Json {
    match (value[0].as_str(), value[1].as_str()) {
        (Some("number"), Some(text)) => {
            let sign = if text.starts_with('-') { "-" } else { "" };
            let digits = text.trim_start_matches('-').trim_start_matches('0');
            let digits = if digits.is_empty() || digits.starts_with('.') {
                format!("0{digits}")
            } else {
                digits.to_owned()
            };
            serde_json::json!(["number", format!("{sign}{digits}")])
        }
        (_, _) => value.clone(),
    }
}

#[test]
fn what_is_certain_is_what_dbt_makes_of_it() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if !python.is_file() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut chance = Chance::new(7);
    let mut files = Vec::new();
    for at in 0..400 {
        let mut text = String::from("a,b,c\n");
        let kinds: Vec<Vec<&str>> = (0..3)
            .map(|_| {
                let picked = (0..1 + below(&mut chance, 2))
                    .map(|_| VALUES[below(&mut chance, VALUES.len())]);
                picked.collect::<Vec<_>>().concat()
            })
            .collect();
        for _ in 0..below(&mut chance, 4) {
            // Some rows end early, some lines are empty.
            let fields = match below(&mut chance, 10) {
                0 => 0,
                1 => 2,
                _ => 3,
            };
            let row: Vec<String> = kinds[..fields]
                .iter()
                .map(|values| format!("\"{}\"", values[below(&mut chance, values.len())]))
                .collect();
            text.push_str(&row.join(","));
            text.push_str(if below(&mut chance, 2) == 0 {
                "\n"
            } else {
                "\r\n"
            });
        }
        let file = folder.path().join(format!("{at}.csv"));
        std::fs::write(&file, &text).expect("a file");
        files.push((file, text));
    }
    let output = Command::new(python)
        .args(["-c", PYTHON])
        .args(files.iter().map(|(file, _)| file))
        .output()
        .expect("Python runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: Vec<Json> = stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(answers.len(), files.len(), "{stderr}");
    let format = Format {
        delimiter: ',',
        ..Format::default()
    };
    let mut certain = 0;
    for ((_, text), answer) in files.iter().zip(&answers) {
        let Ok(seed) = Seed::read(text.as_bytes(), &format) else {
            continue;
        };
        certain += 1;
        let names: Vec<&str> = seed.columns.iter().map(|column| &*column.name).collect();
        let types: Vec<&str> = seed
            .columns
            .iter()
            .map(|column| &*column.data_type)
            .collect();
        assert_eq!(answer["names"], serde_json::json!(names), "{text:?}");
        assert_eq!(answer["types"], serde_json::json!(types), "{text:?}");
        let rows: Vec<Vec<Json>> = seed
            .rows
            .iter()
            .map(|row| row.iter().map(|value| by_value(&shown(value))).collect())
            .collect();
        let of_dbt = answer["rows"].as_array().expect("rows");
        let of_dbt: Vec<Vec<Json>> = of_dbt
            .iter()
            .map(|row| {
                row.as_array()
                    .expect("a row")
                    .iter()
                    .map(by_value)
                    .collect()
            })
            .collect();
        assert_eq!(of_dbt, rows, "{text:?}");
    }
    // Otherwise the test says little.
    assert!(
        certain > 100,
        "only {certain} of {} files are certain",
        files.len()
    );
}
