//! Replays what a real Materialize answered (`conformance/*.json`) against the sandbox, or against the server at
//! `CUTOVER_TEST_MATERIALIZE_URL`, and compares tags, columns, type OIDs, rows and SQLSTATEs.
//!
//! Normalised: masked columns, saved values, and the numbers inside `[u12 AS …]`. Rows of a SUBSCRIBE are compared over
//! all FETCHes of its cursor: which one brings a row is a matter of speed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm)]

#[path = "support/raw.rs"]
mod raw;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use raw::{Answer, Raw};
use serde_json::Value;

/// A cell as the recording has it: booleans and integers are JSON values there, everything else text.
fn same(want: &Value, got: Option<&str>) -> bool {
    match (want, got) {
        (Value::Null, None) => true,
        (Value::Bool(want), Some(got)) => got == if *want { "t" } else { "f" },
        (Value::Number(want), Some(got)) => want.to_string() == got,
        (Value::String(want), Some(got)) => normalised(want) == normalised(got),
        _ => false,
    }
}

/// `[u129 AS "x"]` → `[u AS "x"]`.
fn normalised(text: &str) -> String {
    regex::Regex::new(r"\[[us]\d+ AS")
        .unwrap()
        .replace_all(text, "[u AS")
        .into_owned()
}

fn substitute(text: &str, saved: &HashMap<String, String>) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
    })
}

/// Steps that the sandbox answers otherwise, and why. A server of its own has to answer them as recorded.
const KNOWN: [(&str, usize, &str); 1] = [(
    "data_diff",
    12,
    "AS OF AT LEAST reads the past, which the sandbox does not keep",
)];

struct Script<'a> {
    address: &'a str,
    role: &'a str,
    sessions: BTreeMap<String, Raw>,
    saved: HashMap<String, String>,
    /// By session, rows of the open SUBSCRIBE: wanted, and got.
    fetched: HashMap<String, (Vec<Value>, Vec<Row>)>,
}

type Row = Vec<Option<String>>;

impl Script<'_> {
    fn step(&mut self, step: &Value) -> Result<(), String> {
        let session = step["session"].as_str().unwrap_or("a").to_owned();
        if step["close"].as_bool() == Some(true) {
            self.sessions.remove(&session);
            return Ok(());
        }
        if !self.sessions.contains_key(&session) {
            let role = step["user"].as_str().unwrap_or(self.role);
            self.sessions
                .insert(session.clone(), Raw::connect(self.address, role).unwrap());
        }
        let sql = substitute(step["sql"].as_str().unwrap(), &self.saved);
        let within = Duration::from_secs(step["within"].as_u64().unwrap_or(90));
        let deadline = Instant::now() + within;
        loop {
            let answer = self
                .sessions
                .get_mut(&session)
                .unwrap()
                .query(&sql)
                .map_err(|e| e.to_string())?;
            if let (Some(save), Answer::Rows(_, _, rows)) = (step["save"].as_object(), &answer) {
                for (name, place) in save {
                    let at = |n: usize| usize::try_from(place[n].as_u64().unwrap()).unwrap();
                    self.saved
                        .insert(name.clone(), rows[at(0)][at(1)].clone().unwrap());
                }
            }
            if sql.starts_with("FETCH")
                && let Answer::Rows(names, _, rows) = &answer
                && let Some(wanted) = step["expect"]["rows"].as_array()
                && step["expect"]["columns"] == serde_json::json!(names)
            {
                let fetched = self.fetched.entry(session).or_default();
                fetched.0.extend(wanted.iter().cloned());
                fetched.1.extend(rows.iter().cloned());
                return Ok(());
            }
            if sql == "COMMIT" || sql == "ROLLBACK" {
                self.compare_fetched(&session)?;
            }
            let compared = self.compare(step, &answer);
            if compared.is_ok() || step.get("until").is_none() || Instant::now() > deadline {
                return compared.map_err(|e| format!("{sql}\n   {e}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Compares what all FETCHes of a session's SUBSCRIBE brought; the timestamp in front differs from run to run.
    fn compare_fetched(&mut self, session: &str) -> Result<(), String> {
        let Some((wanted, got)) = self.fetched.remove(session) else {
            return Ok(());
        };
        let fits = wanted.len() == got.len()
            && wanted.iter().zip(&got).all(|(want, got)| {
                let cells = want.as_array().unwrap().iter().zip(got).skip(1);
                cells
                    .into_iter()
                    .all(|(want, got)| want.as_str() == Some("<any>") || same(want, got.as_deref()))
            });
        if fits {
            Ok(())
        } else {
            Err(format!("all FETCHes\n   want {wanted:?}\n   got  {got:?}"))
        }
    }

    fn compare(&self, step: &Value, answer: &Answer) -> Result<(), String> {
        let Some(expect) = step.get("expect") else {
            return Ok(());
        };
        let differs = || Err(format!("want {expect}\n   got  {answer:?}"));
        match answer {
            Answer::Error(code, _) => {
                if expect["error"]["code"].as_str() == Some(code) {
                    Ok(())
                } else {
                    differs()
                }
            }
            Answer::Tag(tag) => {
                if expect["tag"].as_str() == Some(tag) {
                    Ok(())
                } else {
                    differs()
                }
            }
            Answer::Rows(names, oids, rows) => {
                let Some(wanted) = expect["rows"].as_array() else {
                    return differs();
                };
                let want_names: Vec<_> = expect["columns"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                let want_oids: Vec<_> = expect["oids"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_u64)
                    .collect();
                if *names != want_names
                    || oids.iter().map(|o| u64::from(*o)).ne(want_oids)
                    || rows.len() != wanted.len()
                {
                    return differs();
                }
                let masked: Vec<_> = step["mask"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let row_fits = |want: &Value, got: &[Option<String>]| {
                    got.iter().zip(want.as_array().unwrap()).zip(names).all(
                        |((got, want), name)| {
                            let want = match want {
                                Value::String(text) => Value::String(substitute(text, &self.saved)),
                                other => other.clone(),
                            };
                            masked.contains(&name.as_str()) || same(&want, got.as_deref())
                        },
                    )
                };
                let fits = if step["unordered"].as_bool() == Some(true) {
                    wanted
                        .iter()
                        .all(|want| rows.iter().any(|got| row_fits(want, got)))
                } else {
                    wanted
                        .iter()
                        .zip(rows)
                        .all(|(want, got)| row_fits(want, got))
                };
                if fits { Ok(()) } else { differs() }
            }
        }
    }
}

/// (host:port, role) of a `postgres://` URL.
fn address(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (role, rest) = rest.split_once('@').unwrap_or(("materialize", rest));
    let role = role.split(':').next().unwrap_or(role);
    (
        rest.split('/').next().unwrap_or(rest).to_owned(),
        role.to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_as_a_real_server_did() {
    let (sandbox, url) = match std::env::var("CUTOVER_TEST_MATERIALIZE_URL") {
        Ok(url) => (None, url),
        Err(_) => {
            let sandbox = mz_sandbox::Sandbox::start(mz_sandbox::Options::default())
                .await
                .unwrap();
            let url = sandbox.url();
            (Some(sandbox), url)
        }
    };
    let (steps, differences, absent) = tokio::task::spawn_blocking(move || replay_all(&url))
        .await
        .unwrap();
    let report = format!(
        "{steps} steps, {} differences; relations left out: {absent:?}",
        differences.len()
    );
    #[expect(
        clippy::print_stdout,
        reason = "the count is what a reader of the test's output wants"
    )]
    {
        println!("{report}");
    }
    assert!(
        differences.is_empty(),
        "{report}\n{}",
        differences.join("\n")
    );
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
}

fn replay_all(url: &str) -> (usize, Vec<String>, Vec<String>) {
    let (address, role) = address(url);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let (mut steps, mut differences, mut absent) = (0, Vec::new(), Vec::new());
    for file in files {
        let scenario: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let mut script = Script {
            address: &address,
            role: &role,
            sessions: BTreeMap::new(),
            saved: HashMap::new(),
            fetched: HashMap::new(),
        };
        for (at, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            // A relation that the sandbox does not have is left out, not wrong.
            if scenario["name"] == "catalog_columns" && missing(&mut script, step) {
                absent.push(
                    step["sql"]
                        .as_str()
                        .unwrap()
                        .split("o.name = '")
                        .nth(1)
                        .unwrap_or_default()
                        .to_owned(),
                );
                continue;
            }
            steps += 1;
            let known = std::env::var_os("CUTOVER_TEST_MATERIALIZE_URL").is_none()
                && KNOWN
                    .iter()
                    .any(|(name, step, _)| scenario["name"] == *name && at == *step);
            match (script.step(step), known) {
                (Ok(()), false) | (Err(_), true) => {}
                (Ok(()), true) => differences.push(format!(
                    "{} step {at} is answered as recorded now; take it off the list",
                    scenario["name"]
                )),
                (Err(error), false) => {
                    differences.push(format!("{} step {at}: {error}", scenario["name"]));
                }
            }
        }
    }
    (steps, differences, absent)
}

fn missing(script: &mut Script<'_>, step: &Value) -> bool {
    if step["expect"]["rows"].as_array().is_none_or(Vec::is_empty) {
        return false;
    }
    let session = script
        .sessions
        .entry("a".into())
        .or_insert_with(|| Raw::connect(script.address, script.role).unwrap());
    matches!(session.query(step["sql"].as_str().unwrap()), Ok(Answer::Rows(_, _, rows)) if rows.is_empty())
}
