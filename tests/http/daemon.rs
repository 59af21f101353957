//! A daemon with workers that answer without a server: what is asked is noted, a release "runs" for
//! a moment. The journal is a real one.
#![allow(
    dead_code,
    reason = "the tests and the benchmark use a part of it each"
)]

use cutover::adapters::store::Store;
use cutover::domain::lifecycle::policy::Policy;
use cutover::domain::lifecycle::role::Role;
use cutover::domain::lifecycle::state::{Event, State};
use cutover::domain::lifecycle::verb::Verb;
use cutover::domain::progress::Progress;
use cutover::domain::records::deployment::{Kind, NewDeployment};
use cutover::domain::records::run::{Cause, NewRun, Outcome};
use cutover::domain::records::subject::Subject;
use cutover::foundation::span::Span;
use cutover::inputs::settings::http::Http;
use cutover::inputs::settings::{Settings, Sources};
use cutover::interfaces::client::{Address, Client, Options};
use cutover::interfaces::http::{self, Handle};
use cutover::operations::daemon::Daemon;
use cutover::operations::daemon::request::{
    Accepted, AcceptedCorner, Command, Declined, Idempotency, Request,
};
use cutover::operations::daemon::status::{Activity, DeploymentStatus, News};
use cutover::operations::metrics::Metrics;
use jiff::Timestamp;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[path = "stage.rs"]
mod stage;

use stage::on_stage;

pub const READER: &str = "reader-0123456789";
pub const RELEASER: &str = "releaser-0123456789";
pub const PROMOTER: &str = "promoter-0123456789";
pub const OF_CI: &str = "of-ci-0123456789";
pub const CORNERS: &str = "corners-0123456789";

/// The environment whose worker judges what it is asked by the state on the board.
pub const STAGE: &str = "stage";

pub type Asked = Arc<Mutex<Vec<(String, Command, Option<Idempotency>)>>>;

pub struct World {
    pub base: tempfile::TempDir,
    pub daemon: Arc<Daemon>,
    pub metrics: Arc<Metrics>,
    pub settings: Http,
    pub handle: Handle,
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub stop: CancellationToken,
    pub serving: tokio::task::JoinHandle<()>,
    /// What workers were asked.
    pub asked: Asked,
    /// Deployments of prod and of ci, in the order of their creation.
    pub ids: Vec<String>,
    /// A run of prod.
    pub run: String,
}

pub fn settings(base: &tempfile::TempDir) -> Http {
    let mut http = Settings::defaults().expect("defaults").http;
    http.listen = Some("127.0.0.1:0".parse().expect("an address"));
    http.socket = Some("d.sock".into());
    let tokens = [
        ("reader", READER, r#"["read"]"#, "[]"),
        ("releaser", RELEASER, r#"["read","release"]"#, "[]"),
        ("promoter", PROMOTER, r#"["promote"]"#, "[]"),
        (
            "of-ci",
            OF_CI,
            r#"["read","release","promote"]"#,
            r#"["ci"]"#,
        ),
        ("corners", CORNERS, r#"["ci"]"#, r#"["prod", "slow"]"#),
    ];
    http.tokens = tokens
        .map(|(name, secret, scopes, environments)| {
            std::fs::write(base.path().join(name), format!("{secret}\n")).expect("a token");
            let token = format!(
                r#"{{"name":"{name}","secret":"file:{name}","scopes":{scopes},"environments":{environments}}}"#
            );
            serde_json::from_str(&token).expect("a token")
        })
        .into();
    http
}

impl World {
    pub async fn start(change: impl FnOnce(&mut Http)) -> Self {
        Self::of(&["prod", "ci", "slow"], change).await
    }

    /// A daemon with these environments. On [`STAGE`] commands do what the state admits.
    pub async fn of(names: &[&'static str], change: impl FnOnce(&mut Http)) -> Self {
        let base = tempfile::tempdir().expect("a folder");
        let mut http_settings = settings(&base);
        change(&mut http_settings);
        let loaded = Settings::load(&Sources {
            directory: base.path().to_owned(),
            ..Sources::default()
        });
        let daemon = Arc::new(Daemon::new(Arc::new(loaded.expect("settings"))));
        daemon.begins_in(base.path().to_owned());
        let journal = format!("sqlite://{}", base.path().join("journal.db").display());
        let store = Store::open(&journal, base.path()).await.expect("a journal");
        let asked = Asked::default();
        for &name in names {
            let requests = daemon.take_in(name);
            daemon.set_store(name, Some(store.clone()));
            daemon
                .status_board
                .change(name, |status| status.role = Role::Leader);
            let (daemon, asked) = (Arc::clone(&daemon), Arc::clone(&asked));
            tokio::spawn(worker(name, daemon, requests, asked));
        }
        let ids = deployments(&store).await;
        let run = run(&store).await;
        let metrics = Arc::new(Metrics::new());
        let listeners = http::bind(&http_settings, base.path()).await;
        let listeners = listeners.expect("listeners");
        let stop = CancellationToken::new();
        let (address, socket) = (listeners.address(), listeners.socket());
        let handle = listeners.handle();
        let serving = http::serve(
            listeners,
            Arc::clone(&daemon),
            Arc::clone(&metrics),
            stop.clone(),
        );
        let serving = tokio::spawn(async move { serving.await.expect("served") });
        Self {
            base,
            daemon,
            metrics,
            settings: http_settings,
            handle,
            address: address.expect("an address"),
            socket: socket.expect("a socket"),
            stop,
            serving,
            asked,
            ids,
            run,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn client(&self) -> Client {
        let address = Address::Socket(self.socket.clone());
        Client::connect(&address, &Options::default()).expect("a client")
    }
}

pub fn deployment(environment: &str) -> NewDeployment {
    let plan = serde_json::json!({
        "version": 1, "mode": "full", "environment": environment, "target": environment,
        "project": "shop", "database": "materialize", "manifest_hash": "0".repeat(64),
        "green_manifest_hash": "0".repeat(64), "schemas": [], "clusters": [], "nodes": [],
        "build_selectors": [], "tests": [], "test_selectors": [], "test_cluster": null,
        "indexes": [], "sinks": [], "gains": [], "loses": [], "accepted": [], "notes": [],
    });
    NewDeployment {
        plan: serde_json::from_value(plan).expect("a plan"),
        request: cutover::domain::records::deployment::Request {
            revision: None,
            back_to: None,
            override_freeze: None,
            follows: None,
            keep: None,
            checks: Vec::new(),
            diff: None,
            conditions: Default::default(),
            kind: Kind::Full,
            promotion: Policy::Automatic,
            cleanup: Policy::Automatic,
            soak: Span(Duration::ZERO),
            allow: Vec::new(),
            bootstrap: false,
        },
    }
}

async fn deployments(store: &Store) -> Vec<String> {
    let mut ids = Vec::new();
    for (environment, failed) in [("prod", true), ("prod", false), ("ci", false)] {
        let lead = store.lead(environment).await.expect("the lead");
        let made = store.create(&lead, deployment(environment)).await;
        let id = made.expect("recorded").id;
        let events: &[Event] = if failed {
            let reason = "a model fails".to_owned();
            &[
                Event::StagingStarted,
                Event::StepFailed { reason },
                Event::UnwoundAfterFailure,
            ]
        } else {
            &[Event::StagingStarted, Event::Staged]
        };
        for event in events {
            store.apply(&lead, &id, event).await.expect("applied");
        }
        if !failed {
            let intent = serde_json::json!({"name": "a"});
            let begun = store.begin_effect(&lead, &id, "create-schema:a", &intent);
            begun.await.expect("begun");
        }
        ids.push(id);
    }
    ids
}

async fn run(store: &Store) -> String {
    let lead = store.lead("prod").await.expect("the lead");
    let new = NewRun {
        cause: Cause::Schedule,
        scheduled_for: None,
        revision: Some("1".repeat(40)),
        wishes: None,
    };
    let begun = store.begin_run(&lead, new).await.expect("begun");
    let detail = Some("the plan was refused");
    let ended = store.finish_run(&lead, &begun.id, Outcome::Refused, detail);
    ended.await.expect("ended").id
}

async fn worker(
    name: &'static str,
    daemon: Arc<Daemon>,
    mut requests: tokio::sync::mpsc::Receiver<Request>,
    asked: Asked,
) {
    let mut known: HashMap<String, (String, Accepted)> = HashMap::new();
    while let Some(Request {
        command,
        idempotency,
        answer,
    }) = requests.recv().await
    {
        if name == STAGE {
            let mut seen = asked.lock().expect("a lock");
            seen.push((name.to_owned(), command.clone(), idempotency.clone()));
            drop(seen);
            let _ = answer.send(on_stage(&daemon, command));
            continue;
        }
        if name == "slow" {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        if let Some(key) = &idempotency
            && let Some((fingerprint, accepted)) = known.get(&key.key)
        {
            let same = *fingerprint == key.fingerprint;
            let _ = answer.send(if same {
                Ok(accepted.clone())
            } else {
                Err(Declined::KeyReused)
            });
            continue;
        }
        let mut seen = asked.lock().expect("a lock");
        seen.push((name.to_owned(), command.clone(), idempotency.clone()));
        let number = seen.len();
        drop(seen);
        let mut corner = None;
        let reply = match (name, command) {
            ("ci", _) => Err(Declined::NotLeading {
                leader: Some("http://other:8425".to_owned()),
            }),
            (_, Command::Start(_)) => {
                daemon
                    .status_board
                    .change(name, |status| status.activity = Activity::Planning);
                tokio::spawn(release(
                    name,
                    Arc::clone(&daemon),
                    format!("id-{number}"),
                    State::Done,
                ));
                Ok(None)
            }
            (
                _,
                Command::Act {
                    verb: Verb::Abort,
                    deployment,
                    ..
                },
            ) => {
                let id = deployment.unwrap_or_else(|| format!("id-{number}"));
                show(&daemon, name, &id, State::Staging);
                tokio::spawn(release(
                    name,
                    Arc::clone(&daemon),
                    id.clone(),
                    State::Aborted,
                ));
                Ok(Some(id))
            }
            (
                _,
                Command::Act {
                    verb: Verb::Resume, ..
                },
            ) => {
                let id = format!("id-{number}");
                show(&daemon, name, &id, State::Staging);
                tokio::spawn(release(
                    name,
                    Arc::clone(&daemon),
                    id.clone(),
                    State::Failed,
                ));
                Ok(Some(id))
            }
            (
                _,
                Command::Act {
                    verb: Verb::Cleanup,
                    ..
                },
            ) => Err(Declined::NoDeployment(name.to_owned())),
            (
                _,
                Command::Act {
                    verb: Verb::ForceRollback,
                    ..
                },
            ) => Err(Declined::NotNow {
                reason: "cannot force a rollback: the deployment is building".to_owned(),
                state: State::Building,
            }),
            (
                _,
                Command::Act {
                    verb: Verb::Promote | Verb::Rollback | Verb::RollbackAndHold,
                    ..
                },
            ) => Err(Declined::NotNow {
                reason: "cannot promote: the deployment is building".to_owned(),
                state: State::Building,
            }),
            (_, Command::Approve { .. }) => Err(Declined::NotNow {
                reason: "cannot approve: the deployment is building, not ready".to_owned(),
                state: State::Building,
            }),
            (_, Command::DryRun(_)) => Err(Declined::NoDryRun),
            (_, Command::Hold { .. }) => Ok(None),
            (_, Command::LiftHold { .. }) => Err(Declined::NotHeld(name.to_owned())),
            (_, Command::Corner(asked)) => {
                let id = format!("id-{number:04}");
                corner = Some(AcceptedCorner {
                    name: asked.name.to_string(),
                    id: id.clone(),
                });
                corners::take_up(name, &daemon, asked, id);
                Ok(None)
            }
        };
        let reply = reply.map(|deployment| Accepted {
            environment: name.to_owned(),
            run: (deployment.is_none() && corner.is_none()).then(|| format!("run-{number}")),
            deployment,
            would: "do as it was asked".to_owned(),
            corner,
        });
        if let (Some(key), Ok(accepted)) = (idempotency, &reply) {
            known.insert(key.key, (key.fingerprint, accepted.clone()));
        }
        let _ = answer.send(reply);
    }
}

/// What a worker shows of corners.
mod corners {
    use cutover::domain::progress::Progress;
    use cutover::foundation::failure::Class;
    use cutover::operations::ci::collect::Collected;
    use cutover::operations::ci::report::{Kind, Report, Verdict};
    use cutover::operations::daemon::Daemon;
    use cutover::operations::daemon::corners::status::{
        BuildStatus, Failure, Phase, TeardownStatus,
    };
    use cutover::operations::daemon::request::{CornerRequest, CornerWish};
    use cutover::operations::daemon::status::{News, OfCorner};
    use std::sync::Arc;
    use std::time::Duration;

    /// A build ends in half a second as its name says, a teardown at once.
    pub fn take_up(
        environment: &'static str,
        daemon: &Arc<Daemon>,
        asked: CornerRequest,
        id: String,
    ) {
        let now = jiff::Timestamp::now();
        let CornerRequest {
            name,
            wish,
            subject,
        } = asked;
        let name = name.to_string();
        match wish {
            CornerWish::TearDown => {
                let teardown = TeardownStatus {
                    id,
                    by: subject,
                    asked_at: now,
                    phase: Phase::Ended,
                    ended_at: Some(now),
                    failure: None,
                    collected: Some(Collected {
                        dropped: vec![name.clone()],
                        ..Collected::default()
                    }),
                };
                let shown = &daemon.status_board.corners;
                shown.change(environment, &name, |asked| asked.teardown = Some(teardown));
            }
            CornerWish::Build(wish) => {
                let build = BuildStatus {
                    id: id.clone(),
                    kind: Kind::Build,
                    reference: wish.revision.to_string(),
                    revision: None,
                    by: subject,
                    asked_at: now,
                    phase: Phase::InLine,
                    position: Some(1),
                    ended_at: None,
                    failure: None,
                };
                let shown = &daemon.status_board.corners;
                shown.change(environment, &name, |asked| asked.build = Some(build));
                tokio::spawn(build_of(environment, Arc::clone(daemon), name, id));
            }
        }
    }

    async fn build_of(environment: &'static str, daemon: Arc<Daemon>, name: String, id: String) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = jiff::Timestamp::now();
        let mut report = Report::begun(Kind::Build, &name, now);
        report.environment = environment.to_owned();
        report.verdict = match name.as_str() {
            "fails" => Verdict::Failed,
            "refused" => Verdict::Refused,
            _ => Verdict::Passed,
        };
        let failure = (name == "refused").then(|| Failure {
            class: Class::Refused,
            message: "corner-fork: nobody vouches for it".to_owned(),
            hint: "push the branch".to_owned(),
        });
        report.error = failure.as_ref().map(|failure| failure.message.clone());
        daemon.status_board.corners.tell(News {
            environment: environment.to_owned(),
            deployment: None,
            at: now,
            progress: Progress::Note {
                text: format!("builds {name}"),
            },
            corner: Some(OfCorner {
                name: name.clone(),
                build: id.clone(),
            }),
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let shown = &daemon.status_board.corners;
        shown.change(environment, &name, |asked| {
            asked.report = Some((id.clone(), Arc::new(report)));
            if let Some(build) = asked.build.as_mut().filter(|build| build.id == id) {
                (build.phase, build.ended_at) = (Phase::Ended, Some(now));
                build.failure = failure;
            }
        });
    }
}

/// Tells news of a deployment of [`STAGE`].
pub fn tell(daemon: &Daemon, id: &str, at: Timestamp, progress: Progress) {
    daemon.status_board.tell(News {
        environment: STAGE.to_owned(),
        deployment: Some(id.to_owned()),
        at,
        progress,
        corner: None,
    });
}

/// Puts a deployment on the board, as a worker does before it answers.
pub fn show(daemon: &Daemon, name: &str, id: &str, state: State) -> Timestamp {
    let now = Timestamp::now();
    daemon.status_board.change(name, |status| {
        status.activity = Activity::Releasing;
        status.deployment = Some(DeploymentStatus {
            id: id.to_owned(),
            state,
            created_at: now,
            since: now,
            finished_at: state.is_terminal().then_some(now),
            reason: (state == State::Failed).then(|| "a model fails".to_owned()),
            by: Some(Subject::Schedule),
        });
    });
    now
}

/// What a release shows, in half a second. Whoever asked for it begins to listen after the answer.
async fn release(name: &'static str, daemon: Arc<Daemon>, id: String, end: State) {
    for (pause, state) in [(400, State::Building), (80, State::Hydrating), (80, end)] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let now = show(&daemon, name, &id, state);
        daemon.status_board.tell(News {
            environment: name.to_owned(),
            deployment: Some(id.clone()),
            at: now,
            progress: Progress::State {
                deployment: id.clone(),
                state,
            },
            corner: None,
        });
    }
    daemon
        .status_board
        .change(name, |status| status.activity = Activity::Idle);
}
