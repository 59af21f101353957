//! Everything that a test works in: a server, a project, the deploying role's connection.

use super::{Outcome, PATIENCE, Project, Running, Server, Snapshot, Sql, real};
use mz_sandbox::Options;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What a test cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Any Materialize.
    AnyServer,
    /// A server that fails, waits and lags on command, or that the test may spoil.
    Sandbox,
}

/// A server, a project and the settings under which `cutover` runs.
pub struct World {
    /// The server.
    pub server: Server,
    /// The project.
    pub project: Project,
    /// A connection of the deploying role.
    pub sql: Sql,
    /// Variables of the environment of `cutover`.
    pub environment: BTreeMap<String, String>,
    /// What every name that the test makes begins with.
    pub prefix: String,
    /// What `cutover` is started through: a program with its arguments, nothing by default.
    pub through: Vec<String>,
    /// Whether a hook makes the view `totals_latest` beside `totals`, in what [`World::objects`] makes.
    pub has_hook: bool,
    home: tempfile::TempDir,
}

impl World {
    /// A world with two clusters and no schema; `None`, with a word on why, when this machine
    /// cannot run the test.
    pub async fn start(needs: Needs) -> Option<Self> {
        Self::start_with(needs, Options::default()).await
    }

    /// A world on a stand-in with these options.
    pub async fn start_with(needs: Needs, options: Options) -> Option<Self> {
        let Some(dbt) = real::dbt() else {
            eprintln!("skipped: no dbt in CUTOVER_TEST_DBT or .venv");
            return None;
        };
        let is_given = std::env::var_os("CUTOVER_TEST_MATERIALIZE_URL").is_some();
        if needs == Needs::Sandbox && is_given {
            eprintln!("skipped: the server must fail on command, a real one does not");
            return None;
        }
        let server = Server::start(options).await;
        let prefix = if server.is_sandbox() {
            "shop".to_owned()
        } else {
            // Tests run in processes of their own, so this tells them apart on a shared server.
            format!("t{}", std::process::id())
        };
        Some(Self::on(server, prefix, &dbt).await)
    }

    /// Another project, with names of its own, on the same server. It must not outlive this world.
    pub async fn beside(&self, prefix: &str) -> Self {
        let dbt = real::dbt().expect("this world has one");
        Self::on(self.server.share(), prefix.to_owned(), &dbt).await
    }

    async fn on(server: Server, prefix: String, dbt: &Path) -> Self {
        let sql = server.connect().await;
        let project = Project::new(&prefix);
        let home = tempfile::tempdir().expect("a folder");
        // The version costs a start of Python and a question to a registry; it has its own test.
        let quick = real::quick(&home.path().join("bin"), &real::warm(dbt));
        let world = Self {
            project,
            sql,
            environment: settings(&quick.path()),
            prefix,
            through: Vec::new(),
            has_hook: false,
            home,
            server,
        };
        for cluster in ["compute", "serve"] {
            world
                .sql
                .run(&format!(
                    "CREATE CLUSTER {} (SIZE = '25cc')",
                    world.name(cluster)
                ))
                .await;
        }
        world.write_profile("");
        world
    }

    /// As [`World::start`], with the project in production by a real `dbt build`.
    pub async fn in_production(needs: Needs) -> Option<Self> {
        let world = Self::start(needs).await?;
        world.produce().await;
        Some(world)
    }

    /// From now on each invocation of dbt is a process that is started anew: where dbt as a process is the
    /// subject, or what it inherits.
    pub fn starts_dbt_anew(&self) {
        let dbt = real::dbt().expect("this world has one");
        real::quick(&self.home.path().join("bin"), &real::cold(&dbt));
    }

    /// Puts the project into production by a real `dbt build`.
    pub async fn produce(&self) {
        let built = self.dbt(&["build"]).await;
        assert_eq!(built.code, Some(0), "{built}");
    }

    /// As [`World::produce`], by plain SQL: for tests that a second saved matters to and that do
    /// not care who made production.
    pub async fn produce_by_sql(&self) {
        for schema in ["staging", "marts", "serving"] {
            self.sql
                .run(&format!("CREATE SCHEMA {}", self.name(schema)))
                .await;
        }
        for sql in self.objects("", 1) {
            self.sql.run(&sql).await;
        }
    }

    /// As [`World::start`], with production by plain SQL and a project without tests: what most
    /// tests of many releases begin with.
    pub async fn prepared(needs: Needs) -> Option<Self> {
        let world = Self::start(needs).await?;
        world.produce_by_sql().await;
        world.project.without_tests();
        Some(world)
    }

    /// What makes the project's objects as `release`, in schemas and on clusters whose names end
    /// with `suffix`.
    pub fn objects(&self, suffix: &str, release: u32) -> Vec<String> {
        let [staging, marts, serving, compute, serve] =
            ["staging", "marts", "serving", "compute", "serve"]
                .map(|name| self.name(name) + suffix);
        let mut objects = vec![
            format!("CREATE TABLE {staging}.orders (id int, customer text, amount int)"),
            format!(
                "INSERT INTO {staging}.orders VALUES (1, 'ada', 10), (2, 'bob', 20), (3, 'ada', 5)"
            ),
            format!(
                "CREATE VIEW {staging}.stg_orders AS SELECT id, customer, amount FROM {staging}.orders"
            ),
            format!(
                "CREATE MATERIALIZED VIEW {marts}.totals IN CLUSTER {compute} AS \
                 SELECT customer, sum(amount) AS total, {release} AS release FROM {staging}.stg_orders GROUP BY customer"
            ),
            format!(
                "CREATE MATERIALIZED VIEW {marts}.counts IN CLUSTER {compute} AS SELECT count(*) AS n FROM {staging}.stg_orders"
            ),
            format!("CREATE INDEX counts_by_n IN CLUSTER {compute} ON {marts}.counts (n)"),
            format!(
                "CREATE VIEW {serving}.report AS SELECT t.customer, t.total, c.n, {release} AS release \
                 FROM {marts}.totals t CROSS JOIN {marts}.counts c"
            ),
            format!("CREATE INDEX report_index IN CLUSTER {serve} ON {serving}.report (customer)"),
        ];
        if self.has_hook {
            objects.push(format!(
                "CREATE VIEW {marts}.totals_latest AS SELECT * FROM {marts}.totals"
            ));
        }
        objects
    }

    /// Writes `profiles.yml`; `more` is put into the target, one `key: value` a line.
    pub fn write_profile(&self, more: &str) {
        let config = self.server.config();
        let (host, port) = self.server.address();
        let password = config
            .get_password()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default();
        let more: String = more.lines().map(|line| format!("      {line}\n")).collect();
        self.project.write(
            "profiles.yml",
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod:\n      type: materialize\n      host: {host}\n      port: {port}\n      \
                 user: {user}\n      password: '{password}'\n      database: {database}\n      schema: {prefix}\n      \
                 cluster: {prefix}_compute\n      threads: 4\n      sslmode: disable\n{more}",
                user = config.get_user().unwrap_or("materialize"),
                database = config.get_dbname().unwrap_or("materialize"),
                prefix = self.prefix,
            ),
        );
    }

    /// The deploying role.
    pub fn role(&self) -> String {
        let config = self.server.config();
        config.get_user().unwrap_or("materialize").to_owned()
    }

    /// `staging` → `<prefix>_staging`.
    pub fn name(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// Sets a setting, for example `READINESS__TIMEOUT` to `3s`.
    pub fn set(&mut self, setting: &str, value: &str) {
        self.environment
            .insert(format!("CUTOVER__{setting}"), value.to_owned());
    }

    /// How many replicas a cluster has, by its name without the prefix.
    pub async fn replicas(&self, cluster: &str) -> String {
        let name = self.name(cluster);
        let count = format!(
            "SELECT count(*)::text FROM mz_catalog.mz_cluster_replicas r \
             JOIN mz_catalog.mz_clusters c ON c.id = r.cluster_id WHERE c.name = '{name}'"
        );
        self.sql.value(&count).await
    }

    /// A folder beside the project for files of the test's own.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = match self.through.split_first() {
            Some((through, more)) => {
                let mut command = Command::new(through);
                command.args(more).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(arguments)
            .current_dir(self.project.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
            .env("DBT_NO_VERSION_CHECK", "1")
            .envs(&self.environment);
        command
    }

    /// Starts `cutover` with JSON output.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        let program = Path::new(env!("CARGO_BIN_EXE_cutover"));
        let mut command = self.command(program, arguments);
        command.args(["--output", "json"]);
        Running::spawn(command)
    }

    /// Starts `cutover` with JSON output in another folder.
    pub fn spawn_in(&self, folder: &Path, arguments: &[&str]) -> Running {
        let program = Path::new(env!("CARGO_BIN_EXE_cutover"));
        let mut command = self.command(program, arguments);
        command.args(["--output", "json"]).current_dir(folder);
        Running::spawn(command)
    }

    /// As [`World::spawn_in`], with settings besides: `CI__TTL` is `1s`.
    pub fn spawn_with(
        &self,
        folder: &Path,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Running {
        let program = Path::new(env!("CARGO_BIN_EXE_cutover"));
        let mut command = self.command(program, arguments);
        let settings = settings.iter();
        let settings = settings.map(|(name, value)| (format!("CUTOVER__{name}"), *value));
        command
            .args(["--output", "json"])
            .current_dir(folder)
            .envs(settings);
        Running::spawn(command)
    }

    /// Runs `cutover` with JSON output.
    pub async fn cutover(&self, arguments: &[&str]) -> Outcome {
        self.spawn(arguments).ended().await
    }

    /// Runs `cutover` with text output, as a person sees it.
    pub async fn cutover_text(&self, arguments: &[&str]) -> Outcome {
        let program = Path::new(env!("CARGO_BIN_EXE_cutover"));
        Running::spawn(self.command(program, arguments))
            .ended()
            .await
    }

    /// Runs the real dbt in the project.
    pub async fn dbt(&self, arguments: &[&str]) -> Outcome {
        let program = self.home.path().join("bin/dbt");
        let mut command = self.command(&program, arguments);
        command.stdin(Stdio::null());
        Running::spawn(command).ended().await
    }

    /// Lets the n-th statement of `cutover` with this name, and those after it, wait until
    /// [`World::let_go`].
    pub async fn hold(&self, pattern: &str, nth: u32) {
        self.sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, nth, times) \
                 VALUES ('{pattern}', 'cutover', 'hang', {nth}, NULL)"
            ))
            .await;
    }

    /// Waits until a fault has struck.
    pub async fn struck(&self) {
        super::eventually("the fault to strike", async || {
            let hits = self
                .sql
                .value("SELECT count(*)::text FROM mz_sandbox.faults WHERE hits >= nth")
                .await;
            (hits != "0").then_some(())
        })
        .await;
    }

    /// Starts `cutover`, and waits until its n-th statement with this name is held.
    pub async fn held_at(&self, pattern: &str, nth: u32, arguments: &[&str]) -> Running {
        self.hold(pattern, nth).await;
        let running = self.spawn(arguments);
        self.struck().await;
        running
    }

    /// Starts `cutover`, and waits until it has looked whether green is ready.
    pub async fn hydrating(&self, arguments: &[&str]) -> Running {
        let mut running = self.spawn(arguments);
        running
            .until("a reading", |line| line["event"] == "readiness")
            .await;
        running
    }

    /// Starts `cutover`, and kills it while its n-th statement like this is held back (`hang`) or not answered
    /// (`hang_after`). How it ended, where it did before.
    ///
    /// # Errors
    /// How it ended.
    pub async fn killed_at(
        &self,
        pattern: &str,
        action: &str,
        nth: u32,
        arguments: &[&str],
    ) -> Result<(), Outcome> {
        let mut held = self.server.held().expect("the stand-in of this process");
        let fault = format!(
            "INSERT INTO mz_sandbox.faults (pattern, action, nth) VALUES ('{pattern}', '{action}', {nth})"
        );
        self.sql.run(&fault).await;
        let running = self.spawn(arguments);
        let id = running.id();
        let ended = running.ended();
        tokio::pin!(ended);
        let killed = tokio::select! {
            outcome = &mut ended => Err(outcome),
            told = held.changed() => {
                told.expect("the stand-in runs");
                super::send(id, Signal::SIGKILL);
                ended.await;
                Ok(())
            }
        };
        self.let_go().await;
        killed
    }

    /// Starts `cutover`, which kills itself right before or right after (`before`, `after`) its n-th write to the
    /// journal. How it ended, where it did before.
    ///
    /// # Errors
    /// How it ended.
    pub async fn killed_at_write(
        &mut self,
        side: &str,
        nth: u32,
        arguments: &[&str],
    ) -> Result<(), Outcome> {
        let variable = "CUTOVER_TEST_KILL_AT_WRITE";
        let point = format!("{side}:{nth}");
        self.environment.insert(variable.to_owned(), point);
        let outcome = self.cutover(arguments).await;
        self.environment.remove(variable);
        match outcome.code {
            None => Ok(()),
            Some(_) => Err(outcome),
        }
    }

    /// Ends every fault.
    pub async fn let_go(&self) {
        self.sql.run("DELETE FROM mz_sandbox.faults").await;
    }

    /// Lets the server drop everybody and stay away; the world's connection, too, is lost.
    pub async fn outage(&self, lasting: Duration) {
        let milliseconds = lasting.as_millis();
        self.sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, action, argument) \
                 VALUES ('the end', 'outage', '{milliseconds}')"
            ))
            .await;
        let _ = self.sql.attempt("SELECT 'the end'").await;
    }

    /// Waits until the server is back after an outage.
    pub async fn is_back(&mut self) {
        let config = self.server.config();
        self.sql = super::eventually("the server to be back", async || {
            Sql::try_connect(&config).await.ok()
        })
        .await;
    }

    /// Keeps green from being hydrated, or not any more.
    pub async fn hydrates(&self, does: bool) {
        self.sql
            .run(if does {
                "DELETE FROM mz_sandbox.objects"
            } else {
                "INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('.*_dbt_deploy\\.totals', false)"
            })
            .await;
    }

    /// Whether the new side serves under the names of production.
    pub async fn swapped(&self, release: u32) {
        super::eventually("the swap", async || {
            let query = format!(
                "SELECT max(release)::text FROM {}.totals",
                self.name("marts")
            );
            (self.sql.value(&query).await == release.to_string()).then_some(())
        })
        .await;
    }

    /// What the server holds of this world.
    pub async fn snapshot(&self) -> Snapshot {
        Snapshot::read(&self.sql, &self.prefix).await
    }

    /// Asserts that no deployment left anything on the server.
    pub async fn nothing_left(&self) {
        let snapshot = self.snapshot().await;
        assert_eq!(snapshot.leftovers(), Vec::<&String>::new());
    }

    /// The releases that both swapped schemas serve; they must be one.
    pub async fn serves(&self, release: u32) {
        let rows = self
            .sql
            .rows(&format!(
                "SELECT (SELECT max(release) FROM {}.totals), (SELECT max(release) FROM {}.report)",
                self.name("marts"),
                self.name("serving")
            ))
            .await;
        let release = release.to_string();
        assert_eq!(rows, [[release.clone(), release]]);
    }

    /// Processes, other than the tests, that work in this world's project.
    pub fn processes(&self) -> Vec<String> {
        let folder = self.project.path().display().to_string();
        let entries = std::fs::read_dir("/proc").expect("processes");
        entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let line = std::fs::read(path.join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let state = std::fs::read_to_string(path.join("stat")).ok()?;
                let is_zombie = state
                    .rsplit_once(") ")
                    .is_some_and(|(_, rest)| rest.starts_with('Z'));
                let place = std::fs::read_link(path.join("cwd")).unwrap_or_default();
                let is_here = line.contains(&folder) || place.starts_with(&folder);
                (is_here && !is_zombie).then_some(line)
            })
            .collect()
    }
}

/// Who builds green in tests that do not say it. dbt's part is the subject of most; `CUTOVER_TEST_ENGINE` has
/// them all build otherwise.
fn engine() -> String {
    std::env::var("CUTOVER_TEST_ENGINE").unwrap_or_else(|_| "dbt".to_owned())
}

/// Settings that make releases quick on a small machine, without changing what they do.
fn settings(dbt: &str) -> BTreeMap<String, String> {
    [
        ("DBT__EXECUTABLE", dbt),
        // What changed is the subject of tests of its own; the others swap everything.
        ("SCOPE", "full"),
        ("BUILD__ENGINE", &engine()),
        ("READINESS__POLL_INTERVAL_MIN", "50ms"),
        ("READINESS__POLL_INTERVAL_MAX", "500ms"),
        ("READINESS__TIMEOUT", "2m"),
        ("CUTOVER__BACKOFF_MAX", "200ms"),
        ("DBT__STOP_TIMEOUT", "5s"),
        ("MATERIALIZE__RECONNECT_TIMEOUT", "30s"),
    ]
    .into_iter()
    .map(|(name, value)| (format!("CUTOVER__{name}"), value.to_owned()))
    .collect()
}

impl Drop for World {
    fn drop(&mut self) {
        if self.server.is_sandbox() {
            return;
        }
        let (config, prefix) = (self.server.config(), self.prefix.clone());
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let cleaned = tokio::time::timeout(PATIENCE, clean(&config, &prefix)).await;
                if cleaned.is_err() {
                    eprintln!("the server was not cleaned of {prefix} in time");
                }
            });
        });
        let _ = cleaning.join();
    }
}

/// Drops what a test made on a server that outlives it.
async fn clean(config: &tokio_postgres::Config, prefix: &str) {
    let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await else {
        return;
    };
    tokio::spawn(async move {
        let _ = connection.await;
    });
    for (kind, table) in [
        ("SCHEMA", "mz_catalog.mz_schemas"),
        ("CLUSTER", "mz_catalog.mz_clusters"),
        ("ROLE", "mz_catalog.mz_roles"),
    ] {
        let query = format!("SELECT name FROM {table} WHERE name LIKE '{prefix}%'");
        let Ok(messages) = client.simple_query(&query).await else {
            continue;
        };
        for message in messages {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                let name = row.get(0).unwrap_or_default().replace('"', "\"\"");
                let cascade = if kind == "ROLE" { "" } else { " CASCADE" };
                let _ = client
                    .simple_query(&format!("DROP {kind} IF EXISTS \"{name}\"{cascade}"))
                    .await;
            }
        }
    }
}
