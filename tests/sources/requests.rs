//! Revisions of pull requests: whose they are, and where they began.

use super::repository::{Place, Repository};
use cutover::adapters::source::{Source, SourceError};
use cutover::domain::location::repository::Reference;
use tokio_util::sync::CancellationToken;

fn at(source: &Source, name: &str, reference: &str) -> Source {
    let reference: Reference = reference.parse().expect("a reference");
    source.beside(name, reference)
}

/// Whether what the reference is, once fetched, is the repository's own.
async fn is_own(source: &Source, reference: &str) -> bool {
    let source = at(source, "pr-1", reference);
    let cancel = CancellationToken::new();
    let fetched = source.fetch(None, &cancel).await.expect("fetched");
    let own = source.is_own(&fetched.revision, &cancel).await;
    own.expect("known")
}

/// A commit of this tree on these parents, on no branch.
fn commit(repository: &Repository, tree: &str, parents: &[&str]) -> String {
    let tree = format!("{tree}^{{tree}}");
    let mut arguments = vec!["commit-tree", &tree, "-m", "made aside"];
    for parent in parents {
        arguments.extend(["-p", parent]);
    }
    repository.git(&arguments)
}

#[tokio::test]
async fn a_commit_is_the_repositorys_own_when_a_branch_holds_it() {
    let repository = Repository::of_a_project();
    let first = repository.git(&["rev-parse", "HEAD"]);
    // Deeper than what is fetched at first.
    for number in 0..60 {
        repository.git(&["commit", "-q", "--allow-empty", "-m", &number.to_string()]);
    }
    let main = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["checkout", "-q", "-b", "work", &main]);
    repository.write("models/a.sql", "select 2");
    let older = repository.commit("of the repository");
    let work = repository.commit("and once more");
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["tag", "v1", &first]);
    let fork = commit(&repository, &work, &[&main]);
    let merge = commit(&repository, &work, &[&main, &older]);
    let of_fork = commit(&repository, &work, &[&main, &fork]);
    for (name, commit) in [
        ("refs/pull/1/head", &work),
        ("refs/pull/1/merge", &merge),
        ("refs/pull/2/head", &fork),
        ("refs/pull/2/merge", &of_fork),
        // Its author made the head a commit of the repository, and the merge is the old one still.
        ("refs/pull/3/head", &main),
        ("refs/pull/3/merge", &of_fork),
        ("refs/merge-requests/4/merge", &merge),
        // No platform makes this one.
        ("refs/other/merge", &merge),
    ] {
        repository.git(&["update-ref", name, commit]);
    }
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let place = Place::new();
    let source = place.source(&repository.url(), Some("main"));
    for (reference, expected) in [
        ("main", true),
        ("work", true),
        ("v1", true),
        ("HEAD", true),
        (&*main, true),
        (&*older, true),
        (&*first, true),
        ("refs/pull/1/head", true),
        ("refs/pull/1/merge", true),
        (&*merge, true),
        ("refs/merge-requests/4/merge", true),
        ("refs/pull/2/head", false),
        ("refs/pull/2/merge", false),
        ("refs/pull/3/merge", false),
        (&*fork, false),
        (&*of_fork, false),
        ("refs/other/merge", false),
    ] {
        assert_eq!(is_own(&source, reference).await, expected, "{reference}");
    }
    // A branch that is gone vouches for nothing.
    repository.git(&["branch", "-q", "-D", "work"]);
    assert!(!is_own(&source, &older).await);
    // Nothing of it was put where releases are fetched to.
    assert!(!place.tree().exists());
    assert_eq!(source.request_names(), ["pr-1"]);
    assert!(source.forget_request("pr-1").expect("removed"));
    assert_eq!(source.request_names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_began_where_it_left_what_it_goes_to() {
    let repository = Repository::of_a_project();
    let began = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["checkout", "-q", "-b", "work"]);
    repository.write("models/a.sql", "select 2");
    let work = repository.commit("of the request");
    repository.git(&["checkout", "-q", "main"]);
    for number in 0..60 {
        repository.write("models/b.sql", &format!("select {number}"));
        repository.commit("production moves on");
    }
    repository.git(&["checkout", "-q", "--orphan", "apart"]);
    repository.commit("nothing in common");
    repository.git(&["checkout", "-q", "main"]);
    let place = Place::new();
    let source = at(&place.source(&repository.url(), None), "pr-1", "work");
    let cancel = CancellationToken::new();
    let fetched = source.fetch(None, &cancel).await.expect("fetched");
    assert_eq!(fetched.revision.as_str(), work);
    let into = place.0.path().join("began");
    let main = "main".parse().expect("a reference");
    let found = source.began(&fetched.revision, &main, &into, &cancel).await;
    let found = found.expect("a commit");
    assert_eq!(found.revision.as_str(), began);
    let read = |folder: &std::path::Path| std::fs::read_to_string(folder.join("models/a.sql"));
    assert_eq!(read(&found.folder).expect("a file"), "select 1");
    // The work tree is as it was fetched.
    assert_eq!(read(&fetched.folder).expect("a file"), "select 2");
    for (base, said) in [
        ("nowhere", "does not give the commit"),
        ("apart", "no commit in common"),
    ] {
        let base = base.parse().expect("a reference");
        let into = place.0.path().join("another");
        let error = source.began(&fetched.revision, &base, &into, &cancel).await;
        let error = error.expect_err("not known");
        assert!(error.to_string().contains(said), "{error}");
    }
    // A link that leads out is not followed there either.
    repository.git(&["checkout", "-q", "main"]);
    let link = repository.path().join("models/outside");
    std::os::unix::fs::symlink("/etc/passwd", &link).expect("a link");
    let linked = repository.commit("a link");
    std::fs::remove_file(&link).expect("removed");
    repository.commit("and none any more");
    repository.git(&["checkout", "-q", "-b", "later", &linked]);
    std::fs::remove_file(&link).expect("removed");
    repository.commit("of another request");
    let source = at(&place.source(&repository.url(), None), "pr-2", "later");
    let fetched = source.fetch(None, &cancel).await.expect("fetched");
    let into = place.0.path().join("linked");
    let error = source.began(&fetched.revision, &main, &into, &cancel).await;
    assert!(
        matches!(error, Err(SourceError::LinkOutside { .. })),
        "{error:?}"
    );
}
