//! What types cannot say about a configuration.

use super::checks::named_twice;
use super::fault::Fault;
use super::{Freeze, Schedule, Settings};
use crate::domain::location::journal::Location;
use crate::domain::plan::refusal::RefusalName;
use crate::foundation::span::Span;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// The longest time that can be set; sums of such times with a clock never overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The longest name of an environment, in bytes.
const LONGEST_NAME: usize = 128;

pub(super) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    pub(super) fn unless(
        &mut self,
        good: bool,
        path: &str,
        message: impl Into<String>,
        remedy: &str,
    ) {
        if !good {
            self.0.push(Fault {
                place: String::new(),
                path: path.to_owned(),
                message: message.into(),
                remedy: remedy.to_owned(),
            });
        }
    }

    fn words(&mut self, path: &str, words: &[String]) {
        for word in words {
            match word.parse::<RefusalName>() {
                Ok(name) => self.unless(
                    name.is_allowable(),
                    path,
                    format!("{word:?} cannot be allowed: it would lose data or break the cutover"),
                    &format!("take it out; {}", allowable()),
                ),
                Err(error) => self.unless(false, path, error.to_string(), &allowable()),
            }
        }
    }

    fn vars(&mut self, path: &str, vars: &BTreeMap<String, Value>) {
        self.unless(
            !vars.contains_key("deploy"),
            &format!("{path}.deploy"),
            "Cutover sets this variable itself",
            "take it out",
        );
    }

    pub(super) fn span(&mut self, path: &str, span: Span, zero: bool) {
        self.unless(
            zero || !span.0.is_zero(),
            path,
            "the time must be longer than zero",
            "write a time such as 500ms, 15s or 2h",
        );
        self.unless(
            span.0 <= LONGEST,
            path,
            "the time is longer than a year",
            "write a shorter one",
        );
    }
}

impl Settings {
    /// Every fault of the configuration that its types admit; places are left empty.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults(Vec::new());
        let spans = [
            ("dbt.command_timeout", self.dbt.command_timeout, false),
            ("dbt.build_timeout", self.dbt.build_timeout, false),
            ("dbt.stop_timeout", self.dbt.stop_timeout, true),
            (
                "materialize.connect_timeout",
                self.materialize.connect_timeout,
                false,
            ),
            (
                "materialize.statement_timeout",
                self.materialize.statement_timeout,
                false,
            ),
            (
                "materialize.reconnect_timeout",
                self.materialize.reconnect_timeout,
                true,
            ),
            (
                "readiness.lag_threshold",
                self.readiness.lag_threshold,
                false,
            ),
            (
                "readiness.poll_interval_min",
                self.readiness.poll_interval_min,
                false,
            ),
            (
                "readiness.poll_interval_max",
                self.readiness.poll_interval_max,
                false,
            ),
            ("readiness.timeout", self.readiness.timeout, false),
            ("cutover.backoff_max", self.cutover.backoff_max, false),
            ("cutover.rollback_wait", self.cutover.rollback_wait, true),
            ("soak", self.soak, true),
            (
                "on_failure",
                self.on_failure
                    .kept()
                    .unwrap_or(super::on_failure::KEPT_FOR),
                false,
            ),
            ("soak_check_interval", self.soak_check_interval, false),
            ("soak_lag_limit", self.soak_lag_limit, false),
            ("drain.timeout", self.drain.timeout, true),
            (
                "drift_interval",
                self.drift_interval.every().unwrap_or(Span(LONGEST)),
                false,
            ),
            ("sinks.alter_timeout", self.sinks.alter_timeout, false),
            ("sinks.healthy_timeout", self.sinks.healthy_timeout, false),
            (
                "daemon.recheck_interval",
                self.daemon.recheck_interval,
                false,
            ),
            (
                "daemon.takeover_interval",
                self.daemon.takeover_interval,
                false,
            ),
            ("daemon.stop_timeout", self.daemon.stop_timeout, false),
            ("daemon.retry_max", self.daemon.retry_max, false),
        ];
        for (path, span, zero) in spans {
            faults.span(path, span, zero);
        }
        faults.unless(
            self.readiness.poll_interval_min <= self.readiness.poll_interval_max,
            "readiness.poll_interval_min",
            "the shortest pause is longer than the longest",
            "make it at most readiness.poll_interval_max",
        );
        let counts = [
            ("readiness.samples", self.readiness.samples),
            ("readiness.oom_kill_limit", self.readiness.oom_kill_limit),
            ("cutover.attempts", self.cutover.attempts),
            ("soak_check_failures", self.soak_check_failures),
            ("dbt.threads", self.dbt.threads.map_or(1, u32::from)),
        ];
        for (path, count) in counts {
            faults.unless(
                count >= 1,
                path,
                "the number must be at least 1",
                "write 1 or more",
            );
        }
        faults.words("allow", &self.allow);
        faults.vars("project.vars", &self.project.vars);
        self.source.check("source", &mut faults);
        self.schedule.check("schedule", &mut faults);
        Freeze::check(&self.freeze, "freeze", &mut faults);
        self.retention.check("retention", &mut faults);
        self.connection.check("connection", &mut faults);
        faults.diff("diff", &self.diff);
        self.before_the_swap(&mut faults);
        self.ci.check(&self.environments, &mut faults);
        self.check_targets(&mut faults);
        self.notified("notify", self.notify.as_deref(), &mut faults);
        self.texts(&mut faults);
        self.named(&mut faults);
        faults.0.extend(self.http.faults(&self.environments));
        faults.0
    }

    /// Whoever is to be told must be known.
    fn notified(&self, path: &str, names: Option<&[String]>, faults: &mut Faults) {
        let targets = self.targets();
        for name in names.unwrap_or_default() {
            faults.unless(
                targets.iter().any(|target| target.name == *name),
                path,
                format!("there is no webhook or notification {name:?}"),
                "write the name of one of the webhooks or notifications",
            );
        }
    }

    fn texts(&self, faults: &mut Faults) {
        if let Err(error) = Location::parse(&self.store.url) {
            faults.unless(
                false,
                "store.url",
                error.to_string(),
                "write sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            );
        }
        self.artifact_store(faults);
        faults.unless(
            !self.runs.directory.as_os_str().is_empty(),
            "runs.directory",
            "the path is empty",
            "write a folder, for example .cutover/runs",
        );
        let texts = [
            ("bootstrap.cluster_size", &self.bootstrap.cluster_size),
            (
                "materialize.application_name",
                &self.materialize.application_name,
            ),
        ];
        let size = self.hydration.size.as_ref();
        let size = size.map(|size| ("hydration.size", size));
        for (path, text) in texts.into_iter().chain(size) {
            faults.unless(
                !text.trim().is_empty() && !text.contains(char::is_control),
                path,
                "the text is empty or has control characters",
                "write a word",
            );
        }
        for name in &self.dbt.environment {
            let stem = name.strip_suffix('*').unwrap_or(name);
            faults.unless(
                !name.is_empty() && !stem.contains(['*', '=', '\0']),
                "dbt.environment",
                format!("{name:?} is not the name of a variable, nor the beginning of one with * at its end"),
                "write names such as AWS_REGION or AWS_*",
            );
        }
        if let Err(message) = filter(&self.log.level) {
            faults.unless(
                false,
                "log.level",
                message,
                "write error, warn, info, debug, trace, or a filter such as cutover=debug,info",
            );
        }
    }

    fn artifact_store(&self, faults: &mut Faults) {
        for (key, value) in &self.artifacts.options {
            faults.unless(
                value.is_string() || value.is_boolean() || value.is_number(),
                &format!("artifacts.options.{key}"),
                "the value is not a text, a number, true or false",
                "write one word",
            );
        }
        for fault in
            crate::domain::location::url::faults(&self.artifacts.url, &self.artifacts.texts())
        {
            let path = if let crate::domain::location::url::Fault::Option { key, .. } = &fault {
                format!("artifacts.options.{key}")
            } else {
                "artifacts.url".to_owned()
            };
            let said = fault.to_string();
            let message = said.strip_prefix(&format!("{path}: ")).unwrap_or(&said);
            faults.unless(false, &path, message, fault.remedy());
        }
    }

    fn named(&self, faults: &mut Faults) {
        for (name, environment) in &self.environments {
            let path = format!("environments.{name}");
            faults.unless(
                !name.trim().is_empty()
                    && name.len() <= LONGEST_NAME
                    && !name.contains(char::is_control),
                &path,
                format!("{name:?} is not a name: it is empty, longer than {LONGEST_NAME} bytes or has control characters"),
                "choose a short word",
            );
            faults.words(&format!("{path}.allow"), &environment.allow);
            let checks = format!("{path}.checks");
            let twice = named_twice(&self.checks, &environment.checks).into_iter();
            faults
                .0
                .extend(twice.map(|found| Fault::of_check(&checks, found)));
            faults.vars(&format!("{path}.project.vars"), &environment.project.vars);
            environment.source.check(&format!("{path}.source"), faults);
            let retention = format!("{path}.retention");
            environment.retention.check(&retention, faults);
            let connection = &environment.connection;
            connection.check(&format!("{path}.connection"), faults);
            // What the environment leaves as it is has its faults reported once.
            if environment.schedule != Schedule::default() {
                let schedule = environment.schedule.or(&self.schedule);
                schedule.check(&format!("{path}.schedule"), faults);
            }
            Freeze::check(&environment.freeze, &format!("{path}.freeze"), faults);
            if let Some(soaked) = environment.soaked {
                faults.span(&format!("{path}.soaked"), soaked, true);
            }
            self.notified(
                &format!("{path}.notify"),
                environment.notify.as_deref(),
                faults,
            );
            if let Some(soak) = environment.soak {
                faults.span(&format!("{path}.soak"), soak, true);
            }
        }
    }
}

/// Whether the log would understand the filter. Its own parser takes a misspelt level for the name
/// of a module, and would then show everything of a module that does not exist.
fn filter(level: &str) -> Result<(), String> {
    let not = |part: &str| format!("{part:?} is not a level or a filter");
    if level.trim().is_empty() {
        return Err(not(level));
    }
    for part in level.split(',').map(str::trim) {
        if !part.contains(['=', '[', ']', '{', '}']) && part.parse::<LevelFilter>().is_err() {
            return Err(not(part));
        }
    }
    EnvFilter::builder()
        .parse(level)
        .map(|_| ())
        .map_err(|error| format!("{} ({error})", not(level)))
}

fn allowable() -> String {
    let words: Vec<&str> = RefusalName::ALL
        .iter()
        .filter(|name| name.is_allowable())
        .map(|name| name.as_str())
        .collect();
    format!("what can be allowed: {}", words.join(", "))
}
