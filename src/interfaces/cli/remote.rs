//! The commands over a daemon: `--server`. What a daemon does is asked of it; what needs the
//! project's files is refused.

use super::handlers::{Answer, Ending, Handlers};
use crate::adapters::store::{Holder, StoreError};
use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::verb::Verb;
use crate::foundation::failure::Class;
use crate::interfaces::api::document::{Act, Release};
use crate::interfaces::client::{Address, Client, Options};
use crate::interfaces::console::arguments::approve::Approve;
use crate::interfaces::console::arguments::ci::{
    CiBuild, CiGc, CiList, CiReport, CiState, CiTeardown,
};
use crate::interfaces::console::arguments::diff::Diff;
use crate::interfaces::console::arguments::init::Init;
use crate::interfaces::console::arguments::{
    BaselineExport, BaselineForget, BaselineImport, BaselineShow, Check, Compile, Deploy, Gc,
    Global, History, Hold, LiftHold, Ls, Notify, Plan, Promote, Rollback, Show, Status, Step,
};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{HistoryView, RunsView, StatusView};
use crate::operations::daemon::status;
use anyhow::{Context, anyhow};
use follow::{Followed, Wish};
use secrecy::SecretString;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Corners of pull requests.
mod corners;
/// What is on record of a data diff.
mod diff;
/// Waiting for what was asked.
mod follow;
/// Holding an environment.
mod holding;
/// The status as the command line shows it.
pub(super) mod view;

/// The variable with the token itself.
const TOKEN: &str = "CUTOVER_TOKEN";

/// How long a daemon that leads may take to say so.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// The commands over a daemon.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    /// The environment that it was found by; `None` where it was named.
    led: Option<String>,
}

impl Remote {
    /// The commands over the daemon at `server`.
    ///
    /// # Errors
    /// A token or a certificate that cannot be read; a bundle, which a daemon is not given.
    pub fn new(server: &Address, global: &Global) -> Result<Self, CommandError> {
        if global.bundle.is_some() {
            return Err(elsewhere("--bundle"));
        }
        Ok(Self {
            client: client(server, global)?,
            led: None,
        })
    }

    /// The commands over the daemon that leads the environment, and what it says of it. Addresses
    /// that are of another machine are not tried.
    ///
    /// # Errors
    /// As of a command that is refused the lead, where none of the addresses answers here; what the
    /// daemon said, where it does not let the caller look.
    pub async fn of_leader(
        holder: &Holder,
        environment: &str,
        global: &Global,
    ) -> Result<(Self, status::Status), CommandError> {
        let addresses = holder.address.as_deref().map(Address::several);
        let mut refused = None;
        for address in addresses.unwrap_or_default() {
            if !may_be_reached(&address, holder) {
                continue;
            }
            let client = match client(&address, global) {
                Ok(client) => client,
                Err(error) => {
                    refused.get_or_insert(error);
                    continue;
                }
            };
            let asking = client.environment(environment);
            match tokio::time::timeout(FIRST_ANSWER, asking).await {
                Ok(Ok(status)) if status.role == Role::Leader => {
                    let led = Some(environment.to_owned());
                    return Ok((Self { client, led }, status));
                }
                // Somebody else has taken the address.
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) if error.status().is_some() => {
                    let said = CommandError::from(error).context(format!(
                        "the daemon at {address} leads {environment:?} and cannot be asked"
                    ));
                    refused.get_or_insert(said);
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "no daemon"),
            }
        }
        Err(refused.unwrap_or_else(|| {
            let told = holder.address.clone().unwrap_or_default();
            CommandError::from(StoreError::Led {
                environment: environment.to_owned(),
                holder: Some(holder.clone()),
            })
            .with_hint(format!(
                "it is a daemon that does not answer here, at {told}; ask it with --server where it does, or see its log"
            ))
        }))
    }

    /// Where the daemon answers.
    #[must_use]
    pub fn place(&self) -> &str {
        self.client.place()
    }
}

fn client(server: &Address, global: &Global) -> Result<Client, CommandError> {
    let usage = |error| CommandError::new(Class::Usage, error);
    let token = match &global.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the token in {} cannot be read", path.display()))
                .map_err(usage)?;
            Some(text.trim().to_owned())
        }
        None => std::env::var(TOKEN).ok(),
    };
    let options = Options {
        token: token
            .filter(|token| !token.is_empty())
            .map(SecretString::from),
        ca_file: global.ca_file.clone(),
    };
    Ok(Client::connect(server, &options)?)
}

/// A socket is here or is not; what listens on a machine alone is only there.
fn may_be_reached(address: &Address, holder: &Holder) -> bool {
    if let Address::Socket(path) = address {
        return path.exists();
    }
    let here = nix::unistd::gethostname();
    let here = here.ok().and_then(|name| name.into_string().ok());
    !address.is_loopback() || holder.host.is_none() || holder.host == here
}

impl Remote {
    /// The environment that is meant: the only one, where none is named.
    async fn environment(&self, name: Option<&String>) -> Result<status::Status, CommandError> {
        if let Some(name) = name.or(self.led.as_ref()) {
            return Ok(self.client.environment(name).await?);
        }
        let mut all = self.client.environments().await?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(usage(
                "the daemon has no environment that the caller may see",
                "see the section environments of its configuration, and the token's",
            )),
            (Some(last), false) => {
                let mut names: Vec<String> = all.into_iter().map(|s| s.environment).collect();
                names.push(last.environment);
                Err(usage(
                    format!("the daemon has several environments: {}", names.join(", ")),
                    "name one of them",
                ))
            }
        }
    }

    pub(super) async fn step(
        &self,
        verb: Verb,
        (step, override_freeze): (&Step, Option<&str>),
        output: &Output,
        stop: &Stop,
    ) -> Answer {
        if step.dry_run {
            return Err(self.elsewhere("--dry-run"));
        }
        let before = self.environment(step.target.environment.as_ref()).await?;
        let act = Act {
            force: verb == Verb::ForceRollback,
            override_freeze: override_freeze.map(str::to_owned),
            ..Act::default()
        };
        let wish = Wish::Act(verb, act);
        self.ask(before, wish, step.no_wait, output, stop).await
    }

    async fn ask(
        &self,
        before: status::Status,
        wish: Wish,
        no_wait: bool,
        output: &Output,
        stop: &Stop,
    ) -> Answer {
        let key = Uuid::now_v7().to_string();
        if no_wait {
            let accepted = wish.ask(&self.client, &before.environment, &key).await?;
            output.document(&view::AcceptedView(accepted));
            return Ok(Ending::Success);
        }
        let followed = Followed::new(&self.client, before, wish);
        followed.until_it_ends(&key, output, stop).await
    }

    /// What a daemon is not asked, whether it was named or found.
    fn elsewhere(&self, what: &str) -> CommandError {
        let Some(environment) = &self.led else {
            return elsewhere(what);
        };
        let message = format!(
            "the daemon at {} leads {environment:?} and does not take {what}",
            self.place()
        );
        CommandError::new(Class::Refused, anyhow!(message)).with_hint(
            "a daemon goes by its own configuration; `cutover plan` shows what a release would do",
        )
    }

    /// What of a release's flags a daemon takes.
    fn release(&self, deploy: &Deploy) -> Result<Release, CommandError> {
        let flags = [
            ("--dry-run", deploy.dry_run),
            ("--promotion", deploy.promotion.is_some()),
            ("--cleanup", deploy.cleanup.is_some()),
            ("--soak", deploy.soak.is_some()),
            ("--strategy", deploy.scope.strategy.is_some()),
            ("--diff-text", deploy.scope.diff_text.is_some()),
        ];
        if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
            return Err(self.elsewhere(flag));
        }
        let selection = &deploy.scope.selection;
        Ok(Release {
            full: deploy.scope.full,
            bootstrap: deploy.scope.bootstrap,
            allow: deploy.scope.allow.clone(),
            select: selection.select.clone(),
            exclude: selection.exclude.clone(),
            selector: selection.selector.clone(),
            wait_for_promotion: false,
            keep: deploy.keep,
            to: deploy.scope.to.clone(),
            override_freeze: deploy.override_freeze.clone(),
        })
    }
}

type Stop = CancellationToken;

fn usage(message: impl Into<String>, hint: &str) -> CommandError {
    CommandError::new(Class::Usage, anyhow!(message.into())).with_hint(hint)
}

/// What a daemon is not asked.
fn elsewhere(what: &str) -> CommandError {
    usage(
        format!("{what} does not go together with --server"),
        "use it where the project is, without --server and CUTOVER_SERVER; a daemon goes by its own configuration",
    )
}

fn not_here(command: &str) -> Answer {
    Err(elsewhere(&format!("`cutover {command}`")))
}

impl Handlers for Remote {
    async fn init(&self, _: &Init, _: &Output, _: &Stop) -> Answer {
        not_here("init")
    }

    async fn plan(&self, _: &Plan, _: &Output, _: &Stop) -> Answer {
        not_here("plan")
    }

    async fn deploy(&self, arguments: &Deploy, output: &Output, stop: &Stop) -> Answer {
        if arguments.scope.test_only {
            return not_here("deploy --test-only");
        }
        let wish = Wish::Release(self.release(arguments)?);
        let name = arguments.target.environment.as_ref();
        let before = self.environment(name).await?;
        self.ask(before, wish, arguments.no_wait, output, stop)
            .await
    }

    async fn compile(&self, _: &Compile, _: &Output, _: &Stop) -> Answer {
        not_here("compile")
    }

    async fn promote(&self, arguments: &Promote, output: &Output, stop: &Stop) -> Answer {
        let asked = (&arguments.step, arguments.override_freeze.as_deref());
        self.step(Verb::Promote, asked, output, stop).await
    }

    async fn hold(&self, arguments: &Hold, output: &Output, _: &Stop) -> Answer {
        Remote::hold(self, arguments, output).await
    }

    async fn lift_hold(&self, arguments: &LiftHold, output: &Output, _: &Stop) -> Answer {
        self.lift(arguments, output).await
    }

    async fn approve(&self, arguments: &Approve, output: &Output, _: &Stop) -> Answer {
        if arguments.dry_run {
            return Err(self.elsewhere("--dry-run"));
        }
        let status = self
            .environment(arguments.target.environment.as_ref())
            .await?;
        let act = Act {
            deployment: arguments.deployment.clone(),
            ..Act::default()
        };
        let key = Uuid::now_v7().to_string();
        let approved = self.client.approve(&status.environment, &act, &key).await?;
        output.document(&view::AcceptedView(approved));
        Ok(Ending::Success)
    }

    async fn rollback(&self, arguments: &Rollback, output: &Output, stop: &Stop) -> Answer {
        self.step(arguments.verb(), (&arguments.step, None), output, stop)
            .await
    }

    async fn abort(&self, arguments: &Step, output: &Output, stop: &Stop) -> Answer {
        self.step(Verb::Abort, (arguments, None), output, stop)
            .await
    }

    async fn resume(&self, arguments: &Step, output: &Output, stop: &Stop) -> Answer {
        self.step(Verb::Resume, (arguments, None), output, stop)
            .await
    }

    async fn cleanup(&self, arguments: &Step, output: &Output, stop: &Stop) -> Answer {
        self.step(Verb::Cleanup, (arguments, None), output, stop)
            .await
    }

    async fn status(&self, arguments: &Status, output: &Output, _: &Stop) -> Answer {
        let found = match &arguments.environment {
            Some(name) => vec![self.client.environment(name).await?],
            None => self.client.environments().await?,
        };
        output.document(&StatusView {
            environments: found.into_iter().map(view::entry).collect(),
        });
        Ok(Ending::Success)
    }

    async fn history(&self, arguments: &History, output: &Output, _: &Stop) -> Answer {
        let limit = arguments.limit;
        let names = match &arguments.environment {
            Some(name) => vec![name.clone()],
            None => {
                let all = self.client.environments().await?;
                all.into_iter().map(|status| status.environment).collect()
            }
        };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        if arguments.runs {
            let mut runs = Vec::new();
            for name in names {
                runs.extend(self.client.runs(&name, limit).await?);
            }
            runs.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
            runs.truncate(most);
            output.document(&RunsView { runs });
            return Ok(Ending::Success);
        }
        let (mut deployments, mut held) = (Vec::new(), Vec::new());
        for name in names {
            let listed = self.client.deployments(&name, limit).await?;
            deployments.extend(listed.deployments);
            held.extend(listed.held);
        }
        deployments.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        deployments.truncate(most);
        output.document(&HistoryView { deployments, held });
        Ok(Ending::Success)
    }

    async fn show(&self, arguments: &Show, output: &Output, _: &Stop) -> Answer {
        let record = self.client.deployment(&arguments.deployment).await?;
        output.document_as(&record, arguments.format);
        Ok(Ending::Success)
    }

    async fn diff(&self, arguments: &Diff, output: &Output, _: &Stop) -> Answer {
        self.recorded_diff(arguments, output).await
    }

    async fn ls(&self, _: &Ls, _: &Output, _: &Stop) -> Answer {
        not_here("ls")
    }

    async fn check(&self, _: &Check, _: &Output, _: &Stop) -> Answer {
        not_here("check")
    }

    async fn gc(&self, _: &Gc, _: &Output, _: &Stop) -> Answer {
        not_here("gc")
    }

    async fn baseline_show(&self, _: &BaselineShow, _: &Output, _: &Stop) -> Answer {
        not_here("baseline show")
    }

    async fn baseline_import(&self, _: &BaselineImport, _: &Output, _: &Stop) -> Answer {
        not_here("baseline import")
    }

    async fn baseline_export(&self, _: &BaselineExport, _: &Output, _: &Stop) -> Answer {
        not_here("baseline export")
    }

    async fn baseline_forget(&self, _: &BaselineForget, _: &Output, _: &Stop) -> Answer {
        not_here("baseline forget")
    }

    async fn notify(&self, _: &Notify, _: &Output, _: &Stop) -> Answer {
        not_here("notify")
    }

    async fn ci_build(&self, arguments: &CiBuild, output: &Output, stop: &Stop) -> Answer {
        self.build_corner(arguments, output, stop).await
    }

    async fn ci_report(&self, arguments: &CiReport, output: &Output, stop: &Stop) -> Answer {
        self.report_corner(arguments, output, stop).await
    }

    async fn ci_list(&self, arguments: &CiList, output: &Output, _: &Stop) -> Answer {
        self.list_corners(arguments, output).await
    }

    async fn ci_teardown(&self, arguments: &CiTeardown, output: &Output, stop: &Stop) -> Answer {
        self.tear_corner_down(arguments, output, stop).await
    }

    async fn ci_gc(&self, _: &CiGc, _: &Output, _: &Stop) -> Answer {
        not_here("ci gc")
    }

    async fn ci_state(&self, _: &CiState, _: &Output, _: &Stop) -> Answer {
        not_here("ci state")
    }

    async fn serve(&self, _: &Output, _: &CancellationToken) -> Answer {
        not_here("serve")
    }

    async fn config_show(&self, _: &Output, _: &Stop) -> Answer {
        not_here("config show")
    }
}
