//! A world whose production is known, and one point in it.

use crate::scenarios::{End, Kind, Scenario};
use crate::support::{JournalServer, Needs, Readers, Replay, Snapshot, World};
use serde_json::Value;

/// Every statement of the program under test and of dbt.
const STATEMENTS: &str = r"^/\* (cutover|dbt): ";

/// A sink and a source of the project, outside of what is swapped.
const OUTSIDE: [(&str, &str); 2] = [
    (
        "models/out/new_out.sql",
        "{{ config(materialized='sink', schema='out', cluster='shop_io') }}\n\
         FROM {{ ref('counts') }} INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'new') FORMAT JSON ENVELOPE DEBEZIUM",
    ),
    (
        "models/raw/clock.sql",
        "{{ config(materialized='source', schema='raw', cluster='shop_io') }}\n\
         FROM LOAD GENERATOR COUNTER",
    ),
];

/// Both as somebody makes them.
const BY_HAND: [(&str, &str); 2] = [
    (
        "object shop_out.new_out",
        "CREATE SINK shop_out.new_out IN CLUSTER shop_io FROM shop_marts.counts \
         INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'new') FORMAT JSON ENVELOPE DEBEZIUM",
    ),
    (
        "object shop_raw.clock",
        "CREATE SOURCE shop_raw.clock IN CLUSTER shop_io FROM LOAD GENERATOR COUNTER",
    ),
];

/// Where the journal is.
#[derive(Debug, Clone)]
pub enum Journal {
    /// In a file of the project.
    Sqlite,
    /// In a PostgreSQL of the world's own.
    Postgres,
    /// In this one, which no other world may use.
    Given(String),
}

/// A world whose production is known.
pub struct Bench {
    // First, so that it ends before its folder does.
    replay: Replay,
    readers: Readers,
    world: World,
    /// The server of the journal, where it is the world's own.
    _journal: Option<JournalServer>,
    /// What production serves.
    live: u32,
    /// The deployment that made it live, where one did.
    promoted: Option<String>,
    /// The most deployments since that one.
    since: u32,
    /// The latest deployment and its state.
    last: (String, String),
    /// What the server held when the latest point was over.
    held: Snapshot,
    /// The same without what the release makes outside.
    without: Option<Snapshot>,
    /// Whether releases leave a schema alone.
    is_slim: bool,
}

/// The latest deployment and its state.
async fn status(world: &World) -> (String, String) {
    let status = world.cutover(&["status"]).await.exits(0).document();
    named(&status["environments"][0]["deployment"])
}

/// The id and the state of a deployment.
fn named(deployment: &Value) -> (String, String) {
    let text = |key: &str| deployment[key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("state"))
}

impl Bench {
    /// Starts one. `None`, with a word on why, when this machine cannot.
    pub async fn start(journal: &Journal, is_slim: bool, is_alone: bool) -> Option<Self> {
        let mut world = World::prepared(Needs::Sandbox).await?;
        // Things outside that read what is swapped, and things that nobody may touch.
        for sql in [
            "CREATE SCHEMA shop_out",
            "CREATE CLUSTER shop_io (SIZE = '25cc')",
            "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
            "CREATE SINK shop_out.totals_out IN CLUSTER shop_io FROM shop_marts.totals \
             INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'totals') FORMAT JSON ENVELOPE DEBEZIUM",
            "CREATE SINK shop_out.counts_out IN CLUSTER shop_io FROM shop_marts.counts \
             INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'counts') FORMAT JSON ENVELOPE DEBEZIUM",
            "CREATE TABLE shop_out.kept (a int)",
            "CREATE SCHEMA shop_raw",
            "COMMENT ON SCHEMA shop_marts IS 'for the board'",
            "COMMENT ON SCHEMA shop_out IS 'not of dbt'",
        ] {
            world.sql.run(sql).await;
        }
        for (place, text) in OUTSIDE {
            world.project.write(place, text);
        }
        world.set("LIVE_TABLE", "cutover.live");
        let server = match journal {
            Journal::Sqlite => None,
            Journal::Postgres => Some(JournalServer::of(&mut world)),
            Journal::Given(url) => {
                world.set("STORE__URL", url);
                None
            }
        };
        match journal {
            Journal::Sqlite => {}
            // Its releases also alter green clusters.
            Journal::Postgres | Journal::Given(_) => world.set("HYDRATION__SIZE", "50cc"),
        }
        let replay = if is_slim {
            // An index of a view that stays, on a cluster that is swapped.
            let place = "models/staging/stg_orders.sql";
            let config = "{{ config(indexes=[{'columns': ['customer'], 'name': 'stg_idx', 'cluster': 'shop_compute'}]) }}";
            let text = world.project.read(place);
            world.project.write(place, &format!("{config}\n{text}"));
            world.cutover(&["deploy", "--full"]).await.exits(0);
            // Its releases also compare the data of both sides.
            world.set("DIFF__MODE", "report");
            // And look who reads the old side before it goes.
            world.set("DRAIN__TIMEOUT", "1m");
            Replay::of_totals(&mut world).await
        } else {
            // What a hook makes is in each release, and in each that is given up.
            let place = "models/marts/totals.sql";
            let hook = "create view {{ this.schema }}.totals_latest as select * from {{ this }}";
            let text = world.project.read(place);
            let config = format!("{{{{ config(post_hook=\"{hook}\") }}}}\n");
            world.project.write(place, &(config + &text));
            world.cutover(&["deploy"]).await.exits(0);
            world.has_hook = true;
            Replay::of(&mut world).await
        };
        // What was recorded, and given up again, is the one since.
        let since = 1;
        let (last, promoted) = live_by(&world, since).await;
        Some(Self {
            replay,
            readers: match is_alone {
                true => Readers::start(&world, 1).await,
                false => Readers::start_slowly(&world, 1).await,
            },
            held: world.snapshot().await,
            without: None,
            world,
            _journal: server,
            live: 1,
            promoted,
            since,
            last,
            is_slim,
        })
    }

    /// Ends it; nobody noticed anything but releases.
    pub async fn end(self) {
        self.readers.stop().await.undisturbed();
    }

    /// A command as it is given in this world.
    fn arguments<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let live = self.promoted.as_deref().unwrap_or_default();
        let words = command.iter();
        let mut arguments: Vec<&str> = words
            .map(|word| if *word == "{live}" { live } else { word })
            .collect();
        let goes_back = command.contains(&"--to");
        if self.is_slim && command[0] == "deploy" && !goes_back {
            arguments.extend(["--select", "totals"]);
        }
        arguments
    }

    /// One point. `None` when the command ended before the kill could strike.
    pub async fn point(
        &mut self,
        scenario: Scenario,
        kind: Kind,
        nth: u32,
    ) -> Option<(End, String)> {
        let new = self.live + 1;
        self.replay.makes(new, scenario.build_fails);
        self.replay.names_schema(scenario.names_schema);
        self.since += 1;
        let checks = scenario.asks.map(|moment| {
            format!("[{{name: asks, kind: no_rows, level: ask, sql: SELECT 1, run: [{moment}]}}]")
        });
        self.world.set("CHECKS", checks.as_deref().unwrap_or("[]"));
        self.world.set("SOAK_CHECK_FAILURES", "1");
        if scenario.makes_outside {
            for sql in ["DROP SINK shop_out.new_out", "DROP SOURCE shop_raw.clock"] {
                self.world.sql.run(sql).await;
            }
            self.without = Some(self.world.snapshot().await);
        }
        let asked_in = match scenario.before {
            Some(before) => {
                // What is kept has failed.
                let is_kept = before.contains(&"--keep=1h");
                self.since += u32::from(is_kept);
                let outcome = self.world.cutover(&self.arguments(before)).await;
                outcome.exits(i32::from(is_kept));
                status(&self.world).await
            }
            None => self.last.clone(),
        };
        if let Some(sql) = scenario.meanwhile {
            let sql = sql.replace("{new}", &new.to_string());
            self.world.sql.run(&sql).await;
        }
        let arguments: Vec<String> = self
            .arguments(scenario.command)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let world = &mut self.world;
        let killed = match kind {
            Kind::BeforeStatement => world.killed_at(STATEMENTS, "hang", nth, &arguments).await,
            Kind::AfterStatement => {
                let action = "hang_after";
                world.killed_at(STATEMENTS, action, nth, &arguments).await
            }
            Kind::BeforeWrite => world.killed_at_write("before", nth, &arguments).await,
            Kind::AfterWrite => world.killed_at_write("after", nth, &arguments).await,
        };
        if let Err(outcome) = killed {
            outcome.exits(scenario.code);
            self.ends_right(scenario).await;
            return None;
        }
        self.serves_one_of(new).await;
        let dead_in = status(&self.world).await;
        let resumed = self.world.cutover(&["resume"]).await;
        let ended = if dead_in == asked_in {
            // Nothing was recorded of the request: nothing was done, and it must be made again.
            self.world
                .cutover(&self.arguments(scenario.command))
                .await
                .exits(scenario.code);
            End::AskedAgain
        } else if dead_in.1 == scenario.ends {
            End::AlreadyEnded
        } else {
            resumed.exits(scenario.code);
            End::Resumed
        };
        self.ends_right(scenario).await;
        Some((ended, dead_in.1))
    }

    /// Production is one release, whole.
    async fn serves_one_of(&self, new: u32) {
        let rows = self
            .world
            .sql
            .rows(
                "SELECT (SELECT max(release) FROM shop_marts.totals), (SELECT min(release) FROM shop_serving.report)",
            )
            .await;
        let (marts, serving) = (&rows[0][0], &rows[0][1]);
        assert_eq!(marts, serving, "production is mixed");
        let known = [self.live.to_string(), new.to_string()];
        assert!(known.contains(marts), "production serves {marts}");
    }

    /// The end is the documented one.
    async fn ends_right(&mut self, scenario: Scenario) {
        let (last, live) = live_by(&self.world, self.since).await;
        assert_eq!(last.1, scenario.ends);
        if last.1 == "kept" {
            self.world.cutover(&["abort"]).await.exits(0);
        }
        let (last, live) = match last.1.as_str() {
            "kept" => live_by(&self.world, self.since).await,
            _ => (last, live),
        };
        if scenario.is_new {
            self.live += 1;
            self.promoted = Some(last.0.clone());
            self.since = 0;
        }
        self.last = last;
        assert_eq!(live, self.promoted);
        self.world.serves(self.live).await;
        let said =
            "SELECT deployment FROM cutover.live WHERE name IN ('shop_marts', 'shop_compute')";
        let said = self.world.sql.rows(said).await;
        let promoted = self.promoted.clone().into_iter().collect::<Vec<_>>();
        assert_eq!(
            said,
            [promoted.clone(), promoted],
            "what is said to be live"
        );
        let after = self.world.snapshot().await;
        assert_eq!(after.leftovers(), Vec::<&String>::new());
        let without = self.without.take();
        let held = match &without {
            Some(without) if !scenario.is_new => without,
            Some(_) | None => &self.held,
        };
        if scenario.before.is_none() {
            after.describes_the_same(held);
            if !scenario.is_new {
                after.is(held);
            }
        }
        if scenario.makes_outside {
            let is_there = |name: &str| after.ids.contains_key(name);
            let (sink, source) = (BY_HAND[0].0, BY_HAND[1].0);
            assert_eq!(is_there(sink), scenario.is_new, "{sink}");
            // On the way back it stays: people may read it.
            let is_kept = scenario.is_new || scenario.before.is_some();
            assert_eq!(is_there(source), is_kept, "{source}");
        }
        if scenario.meanwhile.is_some() {
            let comment = format!("for the people of release {}", self.live);
            let is_there = after.facts.iter().any(|fact| fact.contains(&comment));
            assert!(is_there, "not: {comment}");
        }
        // Of the two sinks, each reads production.
        for name in ["totals", "counts"] {
            let fact = format!("object shop_out.{name}_out reads object shop_marts.{name}");
            assert!(after.facts.contains(&fact), "not: {fact}");
        }
        self.world.cutover(&["resume"]).await.exits(0);
        self.held = self.world.snapshot().await;
        self.held.is(&after);
        for (name, sql) in BY_HAND {
            if !self.held.ids.contains_key(name) {
                self.world.sql.run(sql).await;
                self.held = self.world.snapshot().await;
            }
        }
        assert_eq!(self.world.processes(), Vec::<String>::new());
        // What dbt wrote for deployments that have ended: of thousands it would fill a disk.
        let runs = self.world.project.path().join(".cutover/runs");
        std::fs::remove_dir_all(runs).expect("what dbt wrote is removed");
    }
}

/// The latest deployment with its state, and the one that the baseline and the journal take for live, with at
/// most so many since.
async fn live_by(world: &World, since: u32) -> ((String, String), Option<String>) {
    let limit = (since + 1).to_string();
    let history = world
        .cutover(&["history", "--limit", &limit])
        .await
        .exits(0)
        .document();
    let deployments = history["deployments"].as_array().expect("a list");
    let done = deployments.iter().find(|one| one["state"] == "done");
    let id = done.and_then(|done| done["id"].as_str());
    let baseline = world
        .cutover(&["baseline", "show"])
        .await
        .exits(0)
        .document();
    let live = baseline["live"]["metadata"]["deployment"].as_str();
    assert_eq!(live, id, "{baseline}");
    (named(&deployments[0]), id.map(str::to_owned))
}
