use super::{Finished, Guest, LOG_LIMIT, ProcessError, Stream, TAIL_LIMIT};
use crate::foundation::process::environment::Variables;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str, directory: &Path) -> Guest {
    Guest {
        program: PathBuf::from("/bin/sh"),
        arguments: ["-c", script].map(Into::into).to_vec(),
        directory: directory.to_owned(),
        environment: Variables::from([("PATH".into(), "/usr/bin:/bin".into())]),
        deadline: LONG,
        stop_timeout: LONG,
        hurry: None,
        log: None,
        record: None,
    }
}

async fn run(guest: &Guest) -> (Result<Finished, ProcessError>, Vec<(Stream, String)>) {
    let mut lines = Vec::new();
    let result = guest
        .run(&CancellationToken::new(), &mut |stream, line| {
            lines.push((stream, line.to_owned()));
        })
        .await;
    (result, lines)
}

fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.starts_with(" Z"))
    })
}

/// Whether the group of a process has its watcher.
fn is_watched(pid: i32) -> bool {
    let group = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    // After the name: state, parent, group.
    let group = group.and_then(|stat| {
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(2).map(str::to_owned)
    });
    let Some(group) = group else { return false };
    let ends = format!("\0cutover-watcher\0{group}\0");
    let processes = std::fs::read_dir("/proc").expect("the processes");
    processes.flatten().any(|process| {
        let line = std::fs::read_to_string(process.path().join("cmdline"));
        line.is_ok_and(|line| line.ends_with(&ends))
    })
}

/// Polls until `condition` holds; fails after a minute.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

fn pid_in(path: &Path) -> Option<i32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[tokio::test]
async fn both_streams_and_the_exit_code_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = shell(
        "echo out; echo err >&2; printf 'caf\\351'; exit 3",
        folder.path(),
    );
    let (result, mut lines) = run(&guest).await;
    assert_eq!(result.expect("it ended").code, 3);
    lines.sort_by_key(|(stream, line)| (*stream == Stream::Err, line.clone()));
    assert_eq!(
        lines,
        [
            (Stream::Out, "caf\u{fffd}".to_owned()),
            (Stream::Out, "out".to_owned()),
            (Stream::Err, "err".to_owned()),
        ]
    );
}

#[tokio::test]
async fn only_the_given_environment_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut guest = shell("", folder.path());
    guest.program = "/usr/bin/env".into();
    guest.arguments.clear();
    let (_, lines) = run(&guest).await;
    assert_eq!(lines, [(Stream::Out, "PATH=/usr/bin:/bin".to_owned())]);
}

#[tokio::test]
async fn a_missing_program_is_named_and_leaves_no_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut guest = shell("", folder.path());
    guest.program = folder.path().join("no such dbt");
    guest.record = Some(folder.path().join("guest.json"));
    let error = run(&guest).await.0.expect_err("it is missing");
    assert!(error.to_string().contains("no such dbt"), "{error}");
    assert!(!folder.path().join("guest.json").exists());
}

#[tokio::test]
async fn a_guest_that_ignores_term_is_killed_with_its_children_at_the_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut guest = shell(
        "trap '' TERM; (trap '' TERM; sleep 600) & echo $! > child; echo waiting; wait",
        folder.path(),
    );
    guest.deadline = Duration::from_millis(300);
    guest.stop_timeout = Duration::from_millis(100);
    guest.record = Some(folder.path().join("guest.json"));
    let (result, _) = run(&guest).await;
    let error = result.expect_err("the deadline is over");
    assert!(matches!(error, ProcessError::Deadline { .. }), "{error}");
    assert!(error.to_string().contains("within 300ms"), "{error}");
    let child = pid_in(&folder.path().join("child")).expect("the grandchild's id");
    eventually("the grandchild is dead", || !alive(child)).await;
    assert!(!folder.path().join("guest.json").exists());
}

#[tokio::test]
async fn cancellation_asks_before_it_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = shell(
        "trap 'echo stopped > stopped; exit 0' TERM; echo ready; while :; do sleep 0.05; done",
        folder.path(),
    );
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let result = guest
        .run(&cancel, &mut |_, line| {
            if line == "ready" {
                canceller.cancel();
            }
        })
        .await;
    let error = result.expect_err("it was cancelled");
    assert!(matches!(error, ProcessError::Cancelled { .. }), "{error}");
    assert!(folder.path().join("stopped").exists());
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = shell("sleep 600 & echo $! > child; wait", folder.path());
    let path = folder.path().join("child");
    let running = tokio::spawn(async move { run(&guest).await.0 });
    eventually("it runs", || pid_in(&path).is_some()).await;
    running.abort();
    let child = pid_in(&path).expect("the grandchild's id");
    eventually("the grandchild is dead", || !alive(child)).await;
}

#[tokio::test]
async fn what_the_leader_leaves_behind_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = shell("sleep 600 & echo $! > child; exit 0", folder.path());
    let (result, _) = run(&guest).await;
    assert_eq!(result.expect("it ended").code, 0);
    let child = pid_in(&folder.path().join("child")).expect("the grandchild's id");
    eventually("the grandchild is dead", || !alive(child)).await;
}

#[tokio::test]
async fn a_signal_from_elsewhere_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (result, _) = run(&shell("echo last words; kill -9 $$", folder.path())).await;
    let error = result.expect_err("it was killed").to_string();
    assert!(
        error.contains("signal 9") && error.contains("last words"),
        "{error}"
    );
}

#[tokio::test]
async fn a_flood_neither_fills_memory_nor_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut guest = shell(
        "head -c 50000000 /dev/zero; yes 0123456789012345678901234567890123456789 | head -c 50000000",
        folder.path(),
    );
    guest.log = Some(folder.path().join("log"));
    let mut longest = 0;
    let finished = guest
        .run(&CancellationToken::new(), &mut |_, line| {
            longest = longest.max(line.len());
        })
        .await
        .expect("it ended");
    assert!(longest <= super::lines::LINE_LIMIT + 64, "{longest}");
    assert!(finished.tail.len() <= TAIL_LIMIT + 1);
    let size = std::fs::metadata(folder.path().join("log"))
        .expect("a log")
        .len();
    assert!(size > 50_000_000 && size <= LOG_LIMIT + 200, "{size}");
}

/// The guard against our own SIGKILL, on its own: a watcher whose pipe closes kills the group.
#[tokio::test]
async fn the_watcher_kills_the_group_when_its_pipe_closes() {
    use std::os::unix::process::CommandExt;
    let mut leader = Command::new("sleep")
        .arg("600")
        .process_group(0)
        .spawn()
        .expect("sleep");
    let pid = i32::try_from(leader.id()).expect("a process id");
    let mut watcher = super::watch(nix::unistd::Pid::from_raw(pid)).expect("a watcher");
    drop(watcher.stdin.take());
    eventually("the leader is dead", || !alive(pid)).await;
    leader.wait().expect("it is waited for");
}

/// Not a test of its own: the process that [`our_own_sigkill_kills_the_group`] kills.
#[tokio::test]
async fn victim() {
    let Some(folder) = std::env::var_os("CUTOVER_TEST_VICTIM").map(PathBuf::from) else {
        return;
    };
    let guest = shell(
        "trap '' TERM; (trap '' TERM; sleep 600) & echo $! > child; wait",
        &folder,
    );
    run(&guest).await.0.expect_err("it is killed");
}

#[tokio::test]
async fn our_own_sigkill_kills_the_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            &format!("{}::victim", module_path!().trim_start_matches("cutover::")),
        ])
        .env("CUTOVER_TEST_VICTIM", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("this program again");
    let path = folder.path().join("child");
    eventually("the guest runs", || pid_in(&path).is_some()).await;
    let child = pid_in(&path).expect("the grandchild's id");
    // The guest may be quicker; between the two only its record finds it.
    eventually("the watcher runs", || is_watched(child)).await;
    victim.kill().expect("it is ours");
    victim.wait().expect("it is waited for");
    eventually("the grandchild is dead", || !alive(child)).await;
}

#[tokio::test]
async fn one_that_must_not_go_on_gets_no_time_to_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let hurry = CancellationToken::new();
    let mut guest = shell(
        "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done",
        folder.path(),
    );
    guest.hurry = Some(hurry.clone());
    let place = folder.path().join("pid");
    let started = std::time::Instant::now();
    let (ended, ()) = tokio::join!(run(&guest), async {
        eventually("the guest", || pid_in(&place).is_some()).await;
        hurry.cancel();
    });
    assert!(
        matches!(ended.0, Err(ProcessError::Cancelled { .. })),
        "{:?}",
        ended.0
    );
    assert!(started.elapsed() < LONG / 2);
    assert!(!alive(pid_in(&place).expect("a process")));
    // It is not started again.
    let (again, _) = run(&guest).await;
    assert!(
        matches!(again, Err(ProcessError::Cancelled { .. })),
        "{again:?}"
    );
}

#[tokio::test]
async fn secrets_of_dbt_are_in_no_line_and_no_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut guest = shell(
        "echo \"password: $DBT_ENV_SECRET_PW\" >&2; echo \"$PLAIN\"; exit 1",
        folder.path(),
    );
    guest
        .environment
        .insert("DBT_ENV_SECRET_PW".into(), "hunter22".into());
    guest.environment.insert("PLAIN".into(), "seen".into());
    guest.log = Some(log.clone());
    let (finished, mut lines) = run(&guest).await;
    lines.sort_by(|a, b| a.1.cmp(&b.1));
    let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["password: *****", "seen"]);
    assert!(!finished.expect("it ended").tail.contains("hunter22"));
    let logged = std::fs::read_to_string(log).expect("the log");
    assert!(logged.contains("*****") && !logged.contains("hunter22"));
}
