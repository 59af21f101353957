//! One environment with everything that a release of it needs: configuration, project, server,
//! journal and dbt. The command line and the daemon both begin here.

use crate::adapters::artifacts::{ArtifactError, Artifacts, Key};
use crate::adapters::dbt::{BuildError, Dbt, Invoker};
use crate::adapters::materialize::session::SessionOptions;
use crate::adapters::materialize::{Address, Materialize, catalog};
use crate::adapters::source::{Source, SourceError};
use crate::adapters::store::{Store, StoreError};
use crate::domain::location::journal::Location;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::Reporter;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::process::environment::{self, Variables};
use crate::foundation::tls::SslMode;
use crate::inputs::project::profiles::{self, Credentials};
use crate::inputs::project::{Project, Switches};
use crate::inputs::settings::{Loaded, Override, Settings, SettingsError, Sources};
use crate::operations::builds::Builds;
use crate::operations::bundle::{self, Bundle, BundleError};
use crate::operations::deployment::checks::ByProbe;
use crate::operations::error::DeploymentError;
use opening::{Opening, Present};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub use crate::operations::release::run::{Driving, Folder};
pub use compiling::Compiled;
pub use connection::ConnectionError;
pub use planning::Wishes;
pub use request::{Requested, followed, repository};
pub use revision::{Fetched, Revision, resolve};

/// Going back to an earlier release.
pub mod back_to;
/// A project into a bundle.
mod compiling;
/// A `profiles.yml` from the configuration.
mod connection;
/// What the server's planner says of a plan.
mod describing;
/// The data diff of the deployment under way.
mod diff;
/// Whether production still is what was released, between releases.
mod drift_watch;
/// What in production is not as it was promoted.
mod drifts;
/// What another environment has released.
mod following;
/// The size in which green is hydrated.
mod hydration;
/// Who will be cut off when the old side goes.
mod old_readers;
/// Which project an environment is.
mod opening;
/// Sinks, sources and connections outside of what is swapped.
mod outside;
/// Environments over one set of schemas.
pub mod overlap;
/// What a pull request would change.
pub mod proposal;
/// Pull requests, fetched.
mod request;
/// What a project is at.
mod revision;
/// What a project should list.
pub mod survey;

/// From the project, the baseline and the server to a plan.
mod planning;
/// The text that a release changes.
mod texts;

/// The project beside the baseline.
mod comparison;
/// What earlier deployments say.
mod history;
/// What a release of a pull request would do.
pub mod preview;
/// Whether anything could be to release.
mod quick_check;
/// From a wish to a deployment that is driven.
mod run;
/// The project's tests against production, without a release.
pub mod testing;

/// What decides which environment is meant.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The configuration file, where one was named.
    pub config: Option<PathBuf>,
    /// What flags say.
    pub overrides: Vec<Override>,
    /// The environment, where one was named.
    pub environment: Option<String>,
    /// The folder in which the search for the project begins, absolute.
    pub working_directory: PathBuf,
    /// The configuration of the environment, where it was read already.
    pub loaded: Option<Arc<Loaded>>,
    /// Whether the project itself is wanted, whatever bundle the configuration names.
    pub ignores_bundle: bool,
    /// Whether the project in the working directory is wanted, whatever repository or bundle the configuration names.
    pub is_here: bool,
}

/// An environment, opened. Nothing of it was touched.
#[derive(Debug)]
pub struct Release {
    /// Its name.
    pub environment: String,
    /// The configuration in force.
    pub settings: Settings,
    /// The dbt project and its profile.
    pub project: Project,
    /// The commit of the project, where it comes from a repository, or the digest of its bundle.
    pub revision: Option<String>,
    /// The repository that the project comes from.
    pub source: Option<Source>,
    /// The bundle that stands for the project and for dbt.
    pub bundle: Option<Arc<Bundle>>,
    /// Where that came from.
    origin: Option<bundle::Origin>,
    /// Where relative paths of journal, artifacts and runs begin.
    base: PathBuf,
    /// What dbt must see of the environment besides what the settings allow.
    secrets: Variables,
    /// Which variables dbt may see.
    passes: environment::Passes,
    /// Names of those that are set and that it may not.
    withheld: BTreeSet<String>,
    wanted: Wanted,
}

/// Why an environment could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The project's files.
    #[error(transparent)]
    Project(#[from] crate::inputs::project::Error),
    /// A selection of nodes.
    #[error(transparent)]
    Selection(#[from] crate::inputs::selection::Error),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The artifact store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// dbt.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The server.
    #[error(transparent)]
    Materialize(#[from] crate::adapters::materialize::MaterializeError),
    /// The plan or a step.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The repository.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The connection of the configuration.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A working folder could not be made.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody asked to stop while it was planned.
    #[error("interrupted while it was planned; nothing was changed")]
    Interrupted,
}

impl Classify for ReleaseError {
    fn class(&self) -> Class {
        match self {
            Self::Settings(error) => error.class(),
            Self::Project(_) => Class::Usage,
            Self::Selection(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Artifacts(error) => error.class(),
            Self::Build(error) => error.class(),
            Self::Materialize(error) => error.class(),
            Self::Deployment(error) => error.class(),
            Self::Source(error) => error.class(),
            Self::Bundle(error) => error.class(),
            Self::Connection(error) => error.class(),
            Self::Folder { .. } => Class::Transient,
            Self::Interrupted => Class::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Project(_) => None,
            Self::Selection(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Artifacts(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::Materialize(error) => error.hint(),
            Self::Deployment(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Bundle(error) => error.hint(),
            Self::Connection(error) => error.hint(),
            Self::Interrupted => None,
            Self::Folder { .. } => {
                Some("check the folder's permissions and the free space".to_owned())
            }
        }
    }
}

/// Reads the configuration in force, with the environment merged where it is a configured one.
///
/// # Errors
/// Faults of the configuration, and an environment that it does not know.
pub fn configuration(wanted: &Wanted) -> Result<Loaded, SettingsError> {
    if let Some(loaded) = &wanted.loaded {
        return Ok(Loaded::clone(loaded));
    }
    let loaded = Settings::load(&sources(wanted))?;
    // Without configured environments a name means the dbt target of that name.
    if loaded.settings.environments.is_empty() {
        return Ok(loaded);
    }
    loaded.for_environment(wanted.environment.as_deref())
}

/// Where the configuration is read from.
#[must_use]
pub fn sources(wanted: &Wanted) -> Sources {
    Sources::of_process(
        wanted.config.clone(),
        project_folder(&wanted.working_directory),
        wanted.overrides.clone(),
    )
}

/// The nearest folder upwards with a dbt project, else the folder itself.
fn project_folder(from: &Path) -> PathBuf {
    from.ancestors()
        .find(|folder| folder.join("dbt_project.yml").is_file())
        .unwrap_or(from)
        .to_owned()
}

impl Release {
    /// Opens the environment that is wanted.
    ///
    /// # Errors
    /// Faults of the configuration and of the project's files.
    pub fn open(wanted: &Wanted) -> Result<Self, ReleaseError> {
        let opening = Opening::of(wanted)?;
        let present = opening.present()?;
        opening.open(present)
    }

    /// As [`Release::open`], for whoever goes on with a deployment: a bundle that cannot be read any more is the
    /// one that was opened last, and one that was not fetched on this machine is fetched.
    ///
    /// # Errors
    /// As [`Release::open`]; an object store that does not answer.
    pub async fn reopen(wanted: &Wanted) -> Result<Self, ReleaseError> {
        let opening = Opening::of(wanted)?;
        let present = match &opening.origin {
            Some(origin) => Present::Bundle(Arc::new(origin.at_hand().await?)),
            None => opening.present()?,
        };
        opening.open(present)
    }

    /// As [`Release::open`], with the project's repository fetched first, where it comes from one.
    /// Nobody else changes the work tree while the release lives.
    ///
    /// # Errors
    /// As [`Release::open`] and [`Source::fetch`].
    pub async fn fetch(wanted: &Wanted, cancel: &CancellationToken) -> Result<Self, ReleaseError> {
        Fetched::of(wanted, cancel).await?.open().await
    }

    /// The journal of the environment, or of the configuration. A project that comes from a
    /// repository need not be fetched for it.
    ///
    /// # Errors
    /// Faults of the configuration, and as [`Store::open`].
    pub async fn journal(wanted: &Wanted) -> Result<Store, ReleaseError> {
        let opening = Opening::of(wanted)?;
        match opening.journal()? {
            Some((url, base)) => open_store(&url, &base).await,
            None => opening.open(Present::Folder)?.store().await,
        }
    }

    /// Makes sure that the bundle was compiled for what is configured here; a project is compiled for it.
    ///
    /// # Errors
    /// The refusal [`bundle::Name::AnotherTarget`], with everything that differs.
    pub fn is_for_this(&self, builds: &Builds) -> Result<(), ReleaseError> {
        Ok(builds.is_for_this(&self.project.deployment()?)?)
    }

    /// What asks the endpoints of the configured checks, to see whether they answer.
    #[must_use]
    pub fn endpoints(&self) -> ByProbe<'_> {
        ByProbe::to_try(&self.base, &self.environment)
    }

    /// Where relative paths of the configuration begin.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// What was fetched, in one sentence; `None` when the project is a folder.
    #[must_use]
    pub fn fetched(&self) -> Option<String> {
        if let (Some(origin), Some(bundle)) = (&self.origin, &self.bundle) {
            return Some(format!(
                "the project is the bundle {} of {}",
                bundle.digest(),
                origin.shown()
            ));
        }
        let source = self.source.as_ref()?;
        let revision = self.revision.as_deref()?;
        Some(format!("the project is {} at {revision}", source.address()))
    }

    /// Makes sure that what the journal holds was planned for the project, target and database of
    /// this configuration. Asks no server.
    ///
    /// # Errors
    /// [`RefusalName::AnotherTarget`], with each thing that differs.
    pub fn is_planned_here(&self, id: &str, plan: &Plan) -> Result<(), DeploymentError> {
        let profile = &self.project.profile;
        refuse_another(
            id,
            &[
                ("project", &plan.project, &self.project.dbt.name),
                ("target", &plan.target, &profile.target),
                ("database", &plan.database, &profile.credentials.database),
            ],
        )
    }

    /// Makes sure that what the journal holds was planned on the server that answers now. Ids say
    /// nothing on another one.
    ///
    /// # Errors
    /// [`RefusalName::AnotherTarget`], and the server's when it does not answer.
    pub async fn is_planned_on(
        &self,
        materialize: &Materialize,
        id: &str,
        plan: &Plan,
    ) -> Result<(), DeploymentError> {
        let Some(planned) = &plan.server else {
            return Ok(());
        };
        let session = materialize.session_patiently().await?;
        let found = catalog::server_id(&session).await?;
        refuse_another(id, &[("server", planned, &found)])
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.project.locations.project_dir
    }

    /// The folder with every file of the project; `None` of a bundle, which has few of them.
    #[must_use]
    pub fn files(&self) -> Option<&Path> {
        self.bundle.is_none().then_some(&*self.project.dbt.path)
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub async fn store(&self) -> Result<Store, ReleaseError> {
        open_store(&self.settings.store.url, &self.base).await
    }

    /// Opens the artifact store.
    ///
    /// # Errors
    /// See [`Artifacts::open`].
    pub fn artifacts(&self) -> Result<Artifacts, ReleaseError> {
        let settings = &self.settings.artifacts;
        let artifacts = Artifacts::open(&settings.url, &settings.texts(), &self.base)?;
        keep_out_of_git(&self.base.join(".cutover"))?;
        Ok(artifacts)
    }

    /// Whose artifacts are this environment's.
    #[must_use]
    pub fn artifact_key(&self) -> Key {
        Key::new(&self.project.dbt.name, &self.environment)
    }

    /// The server; it is connected to when it is first needed.
    #[must_use]
    pub fn materialize(&self) -> Materialize {
        let settings = &self.settings.materialize;
        Materialize::new(
            self.materialize_address(),
            SessionOptions {
                connect_timeout: settings.connect_timeout.0,
                statement_timeout: settings.statement_timeout.0,
                reconnect_timeout: settings.reconnect_timeout.0,
                application_name: settings.application_name.clone(),
            },
        )
    }

    /// Where the server is and who we are there.
    #[must_use]
    pub fn materialize_address(&self) -> Address {
        address(&self.project.profile.credentials)
    }

    /// What somebody between us and the journal could do; `None` where nobody could.
    #[must_use]
    pub fn weak_journal(&self) -> Option<String> {
        let location = Location::parse(&self.settings.store.url).ok()?;
        location.weakness()
    }

    /// The folder in which each run has its own.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.base.join(&self.settings.runs.directory)
    }

    /// dbt, with this run folder, which is created.
    ///
    /// # Errors
    /// No dbt, or a folder that cannot be made.
    pub fn builds(
        &self,
        run_folder: &Path,
        reporter: &Reporter,
        cancel: &CancellationToken,
    ) -> Result<Builds, ReleaseError> {
        let folder_error = |source| ReleaseError::Folder {
            path: run_folder.to_owned(),
            source,
        };
        crate::foundation::process::private::private_folder(run_folder).map_err(folder_error)?;
        let run_dir = std::path::absolute(run_folder).map_err(folder_error)?;
        let settings = &self.settings.dbt;
        let path = std::env::var_os("PATH");
        // What a commit holds is not run.
        let trusted = match &self.source {
            Some(_) => self.base.as_path(),
            None => self.folder(),
        };
        let dbt = match &self.bundle {
            Some(_) => Dbt::none(),
            None => Dbt::locate(settings.executable.as_deref(), trusted, path.as_deref())?,
        };
        let mut environment = environment::allowed(std::env::vars_os(), &self.passes);
        environment.extend(self.secrets.clone());
        let switches = match &self.bundle {
            Some(bundle) => bundle.about().switches,
            None => Switches::of(&self.project.dbt.flags, &environment),
        };
        let vars: serde_json::Map<_, _> = self.settings.project.vars.clone().into_iter().collect();
        let profile = &self.project.profile;
        let circumstances = self.project.circumstances(&vars, &environment);
        Ok(Builds {
            invoker: Invoker {
                dbt,
                project_dir: self.folder().to_owned(),
                profiles_dir: self.project.locations.profiles_dir.clone(),
                profile: Some(profile.name.clone()),
                target: Some(profile.target.clone()),
                vars,
                run_dir,
                environment,
                threads: settings.threads,
                command_timeout: settings.command_timeout.0,
                build_timeout: settings.build_timeout.0,
                stop_timeout: settings.stop_timeout.0,
                cancel: cancel.clone(),
                hurry: CancellationToken::new(),
                reporter: reporter.clone(),
            },
            profile: profile.name.clone(),
            target: profile.target.clone(),
            cluster: profile.credentials.cluster.clone(),
            output: profile
                .written()
                .map_err(crate::inputs::project::Error::from)?,
            listed_packages: self.project.dbt.packages.clone(),
            packages: self.project.dbt.packages_install_path.clone(),
            circumstances,
            switches,
            bundle: self.bundle.clone(),
        })
    }
}

/// Refuses what differs: `(what, as planned, as configured)`.
fn refuse_another(id: &str, parts: &[(&str, &String, &String)]) -> Result<(), DeploymentError> {
    let objects: Vec<String> = parts
        .iter()
        .filter(|(_, planned, found)| planned != found)
        .map(|(what, planned, found)| format!("{what} {planned}, not {found}"))
        .collect();
    if objects.is_empty() {
        return Ok(());
    }
    Err(Refused(vec![Refusal {
        name: RefusalName::AnotherTarget,
        message: format!("the deployment {id} under way was planned for something else"),
        objects,
        remedy: "run the command with the configuration that it was planned with; two things that are released need two environment names, or two journals"
            .to_owned(),
    }])
    .into())
}

fn address(credentials: &Credentials) -> Address {
    let mut options: Vec<(String, String)> = credentials
        .options
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(search_path) = &credentials.search_path {
        options.push(("search_path".to_owned(), search_path.clone()));
    }
    Address {
        host: credentials.host.clone(),
        port: credentials.port,
        user: credentials.user.clone(),
        password: credentials.password.clone(),
        database: credentials.database.clone(),
        role: credentials.role.clone(),
        ssl_mode: match credentials.sslmode {
            None if credentials.trusts_system() => SslMode::VerifyFull,
            Some(profiles::SslMode::Disable) => SslMode::Disable,
            Some(profiles::SslMode::Allow | profiles::SslMode::Prefer) | None => SslMode::Prefer,
            Some(profiles::SslMode::Require) => SslMode::Require,
            Some(profiles::SslMode::VerifyCa) => SslMode::VerifyCa,
            Some(profiles::SslMode::VerifyFull) => SslMode::VerifyFull,
        },
        ssl_root_cert: credentials.sslrootcert.clone(),
        ssl_cert: credentials.sslcert.clone(),
        ssl_key: credentials.sslkey.clone(),
        options,
    }
}

async fn open_store(url: &str, base: &Path) -> Result<Store, ReleaseError> {
    let store = Store::open(url, base).await?;
    keep_out_of_git(&base.join(".cutover"))?;
    Ok(store)
}

/// The journal and the runs are nobody's source code.
fn keep_out_of_git(folder: &Path) -> Result<(), ReleaseError> {
    let file = folder.join(".gitignore");
    if !folder.is_dir() || file.exists() {
        return Ok(());
    }
    std::fs::write(&file, "*\n").map_err(|source| ReleaseError::Folder { path: file, source })
}
