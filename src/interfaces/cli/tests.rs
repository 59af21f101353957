use super::{Answer, Ending, Handlers, run};
use crate::domain::lifecycle::policy::Policy;
use crate::domain::plan::refusal::RefusalName;
use crate::foundation::failure::Class;
use crate::foundation::span::Span;
use crate::interfaces::console::arguments::approve::Approve;
use crate::interfaces::console::arguments::diff::Diff;
use crate::interfaces::console::arguments::init::Init;
use crate::interfaces::console::arguments::{
    Arguments, BaselineExport, BaselineForget, BaselineImport, BaselineShow, Check, Command,
    Compile, Deploy, Global, History, Hold, LiftHold, Ls, OutputFormat, Plan, Promote, Rollback,
    Show, Status, Step,
};
use crate::interfaces::console::{CommandError, Output};
use clap::{CommandFactory, Parser};
use std::cell::RefCell;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Notes what was asked and answers as it was told.
struct Fake {
    asked: RefCell<Vec<&'static str>>,
    answer: fn() -> Answer,
}

impl Fake {
    fn answering(answer: fn() -> Answer) -> Self {
        Self {
            asked: RefCell::default(),
            answer,
        }
    }

    fn note(&self, command: &'static str) -> Answer {
        self.asked.borrow_mut().push(command);
        (self.answer)()
    }
}

type Stop = CancellationToken;

impl Handlers for Fake {
    async fn init(&self, _: &Init, _: &Output, _: &Stop) -> Answer {
        self.note("init")
    }

    async fn plan(&self, _: &Plan, _: &Output, _: &Stop) -> Answer {
        self.note("plan")
    }
    async fn deploy(&self, _: &Deploy, _: &Output, _: &Stop) -> Answer {
        self.note("deploy")
    }
    async fn compile(&self, _: &Compile, _: &Output, _: &Stop) -> Answer {
        self.note("compile")
    }
    async fn promote(&self, _: &Promote, _: &Output, _: &Stop) -> Answer {
        self.note("promote")
    }
    async fn approve(&self, _: &Approve, _: &Output, _: &Stop) -> Answer {
        self.note("approve")
    }
    async fn hold(&self, _: &Hold, _: &Output, _: &Stop) -> Answer {
        self.note("hold")
    }
    async fn lift_hold(&self, _: &LiftHold, _: &Output, _: &Stop) -> Answer {
        self.note("release")
    }
    async fn rollback(&self, _: &Rollback, _: &Output, _: &Stop) -> Answer {
        self.note("rollback")
    }
    async fn abort(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        self.note("abort")
    }
    async fn resume(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        self.note("resume")
    }
    async fn cleanup(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        self.note("cleanup")
    }
    async fn status(&self, _: &Status, _: &Output, _: &Stop) -> Answer {
        self.note("status")
    }
    async fn history(&self, _: &History, _: &Output, _: &Stop) -> Answer {
        self.note("history")
    }
    async fn diff(&self, _: &Diff, _: &Output, _: &Stop) -> Answer {
        self.note("diff")
    }
    async fn show(&self, _: &Show, _: &Output, _: &Stop) -> Answer {
        self.note("show")
    }
    async fn ls(&self, _: &Ls, _: &Output, _: &Stop) -> Answer {
        self.note("ls")
    }
    async fn check(&self, _: &Check, _: &Output, _: &Stop) -> Answer {
        self.note("check")
    }
    async fn ci_build(
        &self,
        _: &crate::interfaces::console::arguments::ci::CiBuild,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("ci build")
    }
    async fn ci_report(
        &self,
        _: &crate::interfaces::console::arguments::ci::CiReport,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("ci report")
    }
    async fn ci_list(
        &self,
        _: &crate::interfaces::console::arguments::ci::CiList,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("ci list")
    }
    async fn ci_teardown(
        &self,
        _: &crate::interfaces::console::arguments::ci::CiTeardown,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("ci teardown")
    }
    async fn ci_gc(
        &self,
        _: &crate::interfaces::console::arguments::ci::CiGc,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("ci gc")
    }
    async fn ci_state(
        &self,
        _: &crate::interfaces::console::arguments::ci::CiState,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("ci state")
    }
    async fn serve(&self, _: &Output, _: &Stop) -> Answer {
        self.note("serve")
    }
    async fn notify(
        &self,
        _: &crate::interfaces::console::arguments::Notify,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("notify")
    }
    async fn gc(
        &self,
        _: &crate::interfaces::console::arguments::Gc,
        _: &Output,
        _: &Stop,
    ) -> Answer {
        self.note("gc")
    }
    async fn baseline_show(&self, _: &BaselineShow, _: &Output, _: &Stop) -> Answer {
        self.note("baseline show")
    }
    async fn baseline_import(&self, _: &BaselineImport, _: &Output, _: &Stop) -> Answer {
        self.note("baseline import")
    }
    async fn baseline_export(&self, _: &BaselineExport, _: &Output, _: &Stop) -> Answer {
        self.note("baseline export")
    }

    async fn baseline_forget(&self, _: &BaselineForget, _: &Output, _: &Stop) -> Answer {
        self.note("baseline forget")
    }
    async fn config_show(&self, output: &Output, _: &Stop) -> Answer {
        output.document(&crate::interfaces::record::HistoryView {
            deployments: Vec::new(),
            held: Vec::new(),
        });
        self.note("config show")
    }
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("cutover").chain(line.split_whitespace()))
}

fn parsed(line: &str) -> Arguments {
    match parse(line) {
        Ok(arguments) => arguments,
        Err(error) => panic!("{line}: {error}"),
    }
}

#[test]
fn the_command_definition_holds_together() {
    Arguments::command().debug_assert();
}

#[tokio::test]
async fn each_command_reaches_its_handler() {
    let fake = Fake::answering(|| Ok(Ending::Success));
    let (output, _) = Output::captured(&Global::default());
    let commands = [
        "plan",
        "deploy",
        "compile o",
        "promote",
        "approve",
        "rollback",
        "abort",
        "resume",
        "cleanup",
        "status",
        "history",
        "show 0198c3f2",
        "diff --relation marts.totals",
        "ls",
        "check",
        "gc",
        "ci build --name pr-1",
        "ci report r",
        "ci list",
        "ci teardown --name pr-1",
        "ci gc",
        "ci state d",
        "baseline show",
        "baseline import --manifest m",
        "baseline export d",
        "baseline forget e",
        "config show",
    ];
    for command in commands {
        let code = run(&parsed(command), &fake, &output).await;
        assert_eq!(code, ExitCode::SUCCESS, "{command}");
    }
    let asked: Vec<String> = fake
        .asked
        .borrow()
        .iter()
        .map(|s| (*s).to_owned())
        .collect();
    let expected: Vec<String> = commands
        .map(|c| {
            c.replace(" 0198c3f2", "")
                .replace(" --relation marts.totals", "")
                .replace(" --manifest m", "")
                .replace("export d", "export")
                .replace("forget e", "forget")
                .replace("compile o", "compile")
                .replace("report r", "report")
                .replace("state d", "state")
                .replace(" --name pr-1", "")
        })
        .to_vec();
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn endings_become_exit_codes() {
    let (output, captured) = Output::captured(&Global::default());
    let reported = Fake::answering(|| Ok(Ending::Reported(Class::Permanent)));
    assert_eq!(
        run(&parsed("deploy"), &reported, &output).await,
        ExitCode::from(1)
    );
    assert_eq!(captured.err(), "");
    let stuck = Fake::answering(|| {
        Err(CommandError::new(
            Class::Stuck,
            anyhow::anyhow!("who did this?"),
        ))
    });
    assert_eq!(
        run(&parsed("resume"), &stuck, &output).await,
        ExitCode::from(5)
    );
    assert!(captured.err().starts_with("error: who did this?\n"));
}

#[tokio::test]
async fn a_lost_result_is_no_success() {
    let (output, captured) = Output::broken(&Global::default(), io::ErrorKind::StorageFull);
    let fake = Fake::answering(|| Ok(Ending::Success));
    assert_eq!(
        run(&parsed("config show"), &fake, &output).await,
        ExitCode::from(4)
    );
    assert!(
        captured
            .err()
            .starts_with("error: the result could not be written")
    );
}

#[test]
fn flags_are_read() {
    let arguments = parsed(
        "deploy production --full --soak 30m --promotion manual --allow source-rebuilt \
         --output json -t prod",
    );
    assert_eq!(arguments.global.output, OutputFormat::Json);
    let Command::Deploy(deploy) = arguments.command else {
        panic!("not a deploy");
    };
    assert_eq!(deploy.target.environment.as_deref(), Some("production"));
    assert!(deploy.scope.full && !deploy.scope.bootstrap && !deploy.dry_run);
    assert_eq!(deploy.soak, Some(Span(Duration::from_secs(1800))));
    assert_eq!(deploy.promotion, Some(Policy::Manual));
    assert_eq!(deploy.scope.allow, [RefusalName::SourceRebuilt]);
}

#[test]
fn dbt_variables_are_a_mapping() {
    let vars = |yaml: &str| {
        Arguments::try_parse_from(["cutover", "plan", "--vars", yaml])
            .map(|arguments| arguments.global.vars.unwrap_or_default().0)
    };
    let read = vars("{country: fr, limits: [1, 2]}").unwrap_or_default();
    assert_eq!(read["country"], "fr");
    assert_eq!(read["limits"][1], 2);
    assert!(vars("[1]").is_err());
    assert!(vars("{").is_err());
}

#[test]
fn faults_of_usage_end_with_2() {
    for line in [
        "",
        "frobnicate",
        "deploy --soak 30",
        "deploy --soak 30y",
        "deploy --allow outside-dependent",
        "deploy --allow nonsense",
        "plan -q -v",
        "history --limit 0",
        "show",
        "plan --format yaml",
        "ls --indirect-selection greedy",
        "ls --resource-type operation",
        "ls --selector nightly --select orders",
        "baseline",
        "baseline import",
        "baseline export",
        "baseline forget",
    ] {
        match parse(line) {
            Ok(arguments) => panic!("{line}: {arguments:?}"),
            Err(error) => assert_eq!(error.exit_code(), 2, "{line}"),
        }
    }
    let refused = parse("deploy --allow outside-dependent")
        .err()
        .map(|e| e.to_string());
    assert!(
        refused.is_some_and(|text| text.contains("only these can be accepted: source-rebuilt"))
    );
}

#[test]
fn help_is_what_it_was() {
    let help = |path: &[&str]| {
        // Values of the environment in which the tests run would be shown.
        let mut command = Arguments::command().mut_args(|argument| argument.hide_env_values(true));
        command.build();
        let mut command = path
            .iter()
            .fold(&mut command, |command, name| {
                match command.find_subcommand_mut(name) {
                    Some(command) => command,
                    None => panic!("no command {name}"),
                }
            })
            .clone();
        command.render_long_help().to_string()
    };
    insta::assert_snapshot!("help", help(&[]));
    insta::assert_snapshot!("help_deploy", help(&["deploy"]));
}
