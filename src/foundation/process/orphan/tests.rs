use super::{Document, OrphanError, Process, Record, TOKEN_VARIABLE, reap};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

const PROMPT: Duration = Duration::from_millis(200);

/// A guest as `process` starts it, left behind.
fn abandon(path: &Path, script: &str) -> Child {
    let mut record = Record::intend(path, Path::new("/bin/dbt")).expect("a record");
    let child = Command::new("/bin/sh")
        .args(["-c", script])
        .env(TOKEN_VARIABLE, record.token())
        .process_group(0)
        .spawn()
        .expect("a shell");
    record.started(pid(&child)).expect("a record");
    child
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("a process id")
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Document)) {
    let mut document: Document =
        serde_json::from_slice(&std::fs::read(path).expect("a record")).expect("a document");
    change(&mut document);
    let text = serde_json::to_vec(&document).expect("JSON");
    std::fs::write(path, text).expect("a record");
}

#[tokio::test]
async fn without_a_record_there_is_nothing_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let reaped = reap(&folder.path().join("guest.json"), PROMPT).await;
    assert_eq!(reaped.expect("nothing"), None);
}

#[tokio::test]
async fn a_survivor_and_its_children_are_killed_even_when_they_ignore_term() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.json");
    let mut child = abandon(
        &path,
        "trap '' TERM; setsid sleep 600 & sleep 600 & wait; wait",
    );
    let reaped = reap(&path, PROMPT)
        .await
        .expect("it is reaped")
        .expect("a survivor");
    assert!(reaped.pids.contains(&pid(&child)));
    assert!(!path.exists());
    assert!(Process::read(pid(&child)).is_none());
    child.wait().expect("it is waited for");
}

#[tokio::test]
async fn children_are_found_when_the_leader_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.json");
    let mut child = abandon(&path, "sleep 600 & exit 0");
    child.wait().expect("the leader ends");
    let reaped = reap(&path, PROMPT)
        .await
        .expect("it is reaped")
        .expect("a survivor");
    assert_eq!(reaped.pids.len(), 1);
    assert_ne!(reaped.pids[0], pid(&child));
}

#[tokio::test]
async fn a_reused_process_id_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.json");
    let mut child = abandon(&path, "exec sleep 600");
    rewrite(&path, |document| {
        document.token = "another".to_owned();
        document.started = document.started.map(|ticks| ticks + 1);
    });
    assert_eq!(reap(&path, PROMPT).await.expect("nothing"), None);
    assert!(child.try_wait().expect("a status").is_none());
    child.kill().expect("it is ours");
    child.wait().expect("it is waited for");
}

#[tokio::test]
async fn a_record_from_before_a_reboot_means_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.json");
    let mut child = abandon(&path, "exec sleep 600");
    rewrite(&path, |document| document.boot = "earlier".to_owned());
    assert_eq!(reap(&path, PROMPT).await.expect("nothing"), None);
    assert!(!path.exists());
    child.kill().expect("it is ours");
    child.wait().expect("it is waited for");
}

#[tokio::test]
async fn a_damaged_record_is_not_guessed_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.json");
    std::fs::write(&path, "{").expect("a file");
    let error = reap(&path, PROMPT).await.expect_err("it is damaged");
    assert!(matches!(error, OrphanError::Damaged { .. }), "{error}");
}
