//! From a configuration to a daemon that runs until it is told to stop.
//!
//! Start-up fails fast: the configuration, the addresses and the tokens are looked at before the
//! first worker starts. Stop order: not ready → no new work → what is under way reaches a journalled
//! boundary → the leads are given up → the addresses are closed.

use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::settings::{self, Loaded, Settings, SettingsError, Sources};
use crate::interfaces::http::{self, HttpError, Listeners};
use crate::operations::daemon::signals::Signals;
use crate::operations::daemon::worker::Worker;
use crate::operations::daemon::{Daemon, systemd};
use crate::operations::metrics::Metrics;
use crate::operations::release::{Release, ReleaseError, Wanted};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long the HTTP server may take to end its answers.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Why the daemon could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The only environment, where none is configured.
    #[error(transparent)]
    Release(Box<ReleaseError>),
    /// The HTTP server.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Signals cannot be caught.
    #[error("the process cannot listen to signals")]
    Signals(#[source] std::io::Error),
    /// A worker ended although nobody told it to.
    #[error("the worker of the environment {0} ended unexpectedly")]
    Died(String),
    /// Something was still under way when `daemon.stop_timeout` had passed.
    #[error("{0} did not reach a boundary in time; it goes on at the next start")]
    Late(String),
}

impl Classify for ServeError {
    fn class(&self) -> Class {
        match self {
            Self::Settings(error) => error.class(),
            Self::Release(error) => error.class(),
            Self::Http(error) => error.class(),
            Self::Signals(_) | Self::Died(_) | Self::Late(_) => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Release(error) => error.hint(),
            Self::Http(error) => error.hint(),
            Self::Signals(_) => None,
            Self::Died(_) => Some("look at the log above, and start the daemon again".to_owned()),
            Self::Late(_) => {
                Some("nothing was lost; a longer daemon.stop_timeout lets it finish".to_owned())
            }
        }
    }
}

/// One environment's worker, as it is run.
struct Running {
    settings: watch::Sender<Arc<Loaded>>,
    stop: CancellationToken,
    task: Id,
}

/// The workers.
struct Crew {
    daemon: Arc<Daemon>,
    metrics: Arc<Metrics>,
    wanted: Wanted,
    address: Option<String>,
    /// Where relative paths of the daemon's own files begin.
    base: PathBuf,
    http: http::Handle,
    tasks: JoinSet<()>,
    running: BTreeMap<String, Running>,
}

/// Runs the daemon until `stop` is cancelled.
///
/// `sources` says where the configuration is read from, now and at each reload.
///
/// # Errors
/// Faults of the configuration and of the addresses, before anything was started; a worker that
/// ended, or one that was not done in time.
pub async fn serve(
    sources: Sources,
    wanted: Wanted,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let loaded = Arc::new(Settings::load(&sources)?);
    let environments = environments(&loaded, &wanted)?;
    let base = loaded.folder(&wanted.working_directory);
    let metrics = Arc::new(Metrics::new());
    let signals = Signals::catch().map_err(ServeError::Signals)?;
    let listeners = http::bind(&loaded.settings.http, &base).await?;
    let daemon = Arc::new(Daemon::new(Arc::clone(&loaded)));
    daemon.begins_in(base.clone());
    let mut crew = Crew {
        daemon: Arc::clone(&daemon),
        metrics: Arc::clone(&metrics),
        wanted,
        address: addresses(&loaded.settings.http, &listeners),
        base: base.clone(),
        http: listeners.handle(),
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
    };
    for (name, loaded) in environments {
        crew.start(name, loaded);
    }
    let answering = CancellationToken::new();
    let server = tokio::spawn(http::serve(
        listeners,
        Arc::clone(&daemon),
        metrics,
        answering.clone(),
    ));
    let signals = tokio::spawn(signals.obey(Arc::clone(&daemon)));
    systemd::ready();
    let watchdog = tokio::spawn(systemd::watchdog());
    let ended = crew.work(&sources, &stop).await;
    watchdog.abort();
    signals.abort();
    systemd::stopping();
    daemon.stop.cancel();
    let left = crew.drain(loaded.settings.daemon.stop_timeout.0).await;
    answering.cancel();
    if tokio::time::timeout(LAST_ANSWERS, server).await.is_err() {
        tracing::debug!("answers were cut off");
    }
    ended.and(left)
}

/// The environments with their configuration. Where none is configured there is one, called like
/// the dbt target.
fn environments(
    loaded: &Loaded,
    wanted: &Wanted,
) -> Result<BTreeMap<String, Arc<Loaded>>, ServeError> {
    if loaded.settings.environments.is_empty() {
        let release = Release::open(&Wanted {
            loaded: Some(Arc::new(loaded.clone())),
            ..wanted.clone()
        })
        .map_err(|error| ServeError::Release(Box::new(error)))?;
        return Ok(BTreeMap::from([(
            release.environment,
            Arc::new(loaded.clone()),
        )]));
    }
    loaded
        .settings
        .environments
        .keys()
        .map(|name| {
            let loaded = loaded.for_environment(Some(name))?;
            Ok((name.clone(), Arc::new(loaded)))
        })
        .collect()
}

/// Where the daemon answers, for commands that find it by its lead: words between spaces.
fn addresses(settings: &settings::Http, listeners: &Listeners) -> Option<String> {
    let socket = listeners
        .socket()
        .map(|socket| format!("unix:{}", socket.display()));
    let url = settings.address(listeners.address());
    let words: Vec<String> = socket.into_iter().chain(url).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Counters begin at zero, so that the first event is seen as an increase.
fn expect(metrics: &Metrics, environment: &str, loaded: &Loaded) {
    metrics.expect_environment(environment);
    for target in loaded.settings.targets() {
        metrics.expect_target(&target.name);
    }
}

impl Crew {
    fn start(&mut self, name: String, loaded: Arc<Loaded>) {
        expect(&self.metrics, &name, &loaded);
        let (settings, receiver) = watch::channel(loaded);
        let stop = self.daemon.stop.child_token();
        let wanted = Wanted {
            environment: Some(name.clone()),
            ..self.wanted.clone()
        };
        let worker = Worker::new(
            Arc::clone(&self.daemon),
            Arc::clone(&self.metrics),
            wanted,
            name.clone(),
            receiver,
            stop.clone(),
            (self.address.clone(), self.base.clone()),
        );
        let task = self.tasks.spawn(worker.run()).id();
        self.running.insert(
            name,
            Running {
                settings,
                stop,
                task,
            },
        );
    }

    /// Watches the workers and reads the configuration again when told to.
    async fn work(
        &mut self,
        sources: &Sources,
        stop: &CancellationToken,
    ) -> Result<(), ServeError> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.daemon.reload.notified() => self.reload(sources),
                ended = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    let (id, result) = match ended {
                        Some(Ok((id, ()))) => (id, Ok(())),
                        Some(Err(error)) => (error.id(), Err(error)),
                        None => continue,
                    };
                    let name = self.name_of(id);
                    if let Err(error) = result {
                        tracing::error!(name, %error, "a worker died");
                        return Err(ServeError::Died(name.unwrap_or_default()));
                    }
                    // It ended as it was told: the environment is not configured any more.
                    if let Some(name) = name {
                        if !self.running.get(&name).is_some_and(|worker| worker.stop.is_cancelled()) {
                            return Err(ServeError::Died(name));
                        }
                        self.running.remove(&name);
                    }
                }
            }
        }
    }

    fn name_of(&self, id: Id) -> Option<String> {
        let mut running = self.running.iter();
        running
            .find(|(_, worker)| worker.task == id)
            .map(|(name, _)| name.clone())
    }

    /// Takes a new configuration over when all of it is good; else the old one stays in force.
    fn reload(&mut self, sources: &Sources) {
        let _guard = systemd::reloading();
        let read = Settings::load(sources)
            .map_err(ServeError::from)
            .and_then(|loaded| {
                let environments = environments(&loaded, &self.wanted)?;
                self.http.reload(&loaded.settings.http, &self.base)?;
                Ok((Arc::new(loaded), environments))
            });
        let (loaded, environments) = match read {
            Ok(read) => read,
            Err(error) => {
                self.metrics.reloaded(false);
                // A reload by systemd counts as done however it went.
                systemd::status(
                    "the configuration is faulty (see the log); the old one stays in force",
                );
                tracing::error!(
                    error = with_causes(&error),
                    "the new configuration is faulty; the old one stays in force"
                );
                return;
            }
        };
        let old = self.daemon.settings();
        if old.settings.http.listen != loaded.settings.http.listen
            || old.settings.http.socket != loaded.settings.http.socket
        {
            tracing::warn!("http.listen and http.socket change at the next start");
        }
        self.daemon.replace_settings(loaded);
        self.running.retain(|name, worker| {
            let stays = environments.contains_key(name);
            if !stays {
                tracing::info!(name, "the environment is not configured any more");
                worker.stop.cancel();
            }
            // One that is being stopped is forgotten when it has ended.
            true
        });
        for (name, loaded) in environments {
            match self.running.get(&name) {
                Some(worker) if !worker.stop.is_cancelled() => {
                    if worker.settings.borrow().settings != loaded.settings {
                        expect(&self.metrics, &name, &loaded);
                        worker.settings.send_replace(loaded);
                    }
                }
                Some(_) => {
                    tracing::warn!(name, "the environment is still being stopped; reload again");
                }
                None => self.start(name, loaded),
            }
        }
        self.metrics.reloaded(true);
        systemd::status("");
        tracing::info!("the configuration was read again");
    }

    /// Waits until every worker has come to a boundary.
    async fn drain(&mut self, at_most: Duration) -> Result<(), ServeError> {
        let done = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => error.id(),
                };
                self.running.retain(|_, worker| worker.task != id);
            }
        };
        if tokio::time::timeout(at_most, done).await.is_ok() {
            return Ok(());
        }
        let names: Vec<String> = self.running.keys().cloned().collect();
        self.tasks.abort_all();
        Err(ServeError::Late(names.join(", ")))
    }
}
