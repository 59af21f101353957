//! How endpoints of checks are asked: credentials, statuses, values, and what `cutover check` says of them.

use super::endpoints::{check, checks, errors, quick, shown};
use crate::support::{Endpoint, Says};

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_asked_with_credentials_that_nobody_sees() {
    let Some((mut world, _replay)) = quick().await else {
        return;
    };
    let token = "tok3n-of-theirs";
    let tenant = "ten4nt-of-theirs";
    // It repeats what it was given.
    let echo = format!(
        r#"{{"status":"error","errorType":"bad_data","error":"no {token} and no {tenant}"}}"#
    );
    let endpoint = Endpoint::listen(Says::Body(400, echo)).await;
    let secrets = ", auth: {bearer: \"env:PROM_TOKEN\"}, headers: {X-Scope-OrgID: \"file:tenant\"}";
    checks(&world, &errors(&endpoint, secrets));
    world.project.write("tenant", &format!("{tenant}\n"));
    let unset = world.cutover(&["deploy"]).await.exits(1);
    unset.says("auth.bearer: the environment variable PROM_TOKEN is not set");
    assert!(endpoint.asked().is_empty());
    world
        .environment
        .insert("PROM_TOKEN".to_owned(), token.to_owned());
    let mut printed = Vec::new();
    let failed = world.cutover(&["deploy"]).await.exits(1);
    let failed = failed.says("Prometheus refuses the query (bad_data): no *** and no ***");
    let id = failed.deployment();
    printed.push(failed.all());
    let asked = endpoint.asked();
    assert_eq!(asked[0].headers["authorization"], format!("Bearer {token}"));
    assert_eq!(asked[0].headers["x-scope-orgid"], tenant);
    endpoint.says(Says::vector("0"));
    for arguments in [
        &["deploy", "-v"][..],
        &["show", &id, "-v"],
        &["config", "show"],
        &["check"],
        &["status"],
    ] {
        printed.push(world.cutover(arguments).await.all());
    }
    let mut queue = vec![world.project.path().join(".cutover")];
    while let Some(folder) = queue.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                queue.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).expect("a file");
                printed.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    for text in printed {
        assert!(!text.contains(token) && !text.contains(tenant), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_endpoint_is_asked_for_its_status_and_a_value() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let good = Says::Body(
        200,
        r#"{"checks": [{"lag": 2, "who": "s3cret"}]}"#.to_owned(),
    );
    let endpoint = Endpoint::listen(good.clone()).await;
    let text = format!(
        "  - name: smoke\n    kind: http\n    run: [before]\n    method: post\n    url: {}/smoke\n    \
         body: '{{\"deployment\": \"{{{{ deployment }}}}\"}}'\n    status: 200\n    pointer: /checks/0/lag\n    condition: '< 5'\n",
        endpoint.url
    );
    checks(&world, &text);
    // Nothing is posted to see whether it answers.
    let tried = world.cutover(&["check"]).await;
    let tried = tried.says("POST was not sent");
    assert!(!tried.all().contains("s3cret"));
    assert!(
        endpoint
            .asked()
            .iter()
            .all(|one| one.line == "OPTIONS /smoke")
    );
    for (says, why) in [
        (Says::Body(500, String::new()), "it answers 500, not 200"),
        (
            Says::Body(200, r#"{"checks": [{"lag": 7}]}"#.to_owned()),
            "the value 7 at \"/checks/0/lag\" is not < 5",
        ),
        (
            Says::Body(200, "{}".to_owned()),
            "there is nothing at \"/checks/0/lag\" of the answer (on_empty: counts as a failure)",
        ),
        (
            Says::Elsewhere("http://localhost:1/".to_owned()),
            "it answers 302 and points elsewhere, which is not followed, not 200",
        ),
    ] {
        endpoint.says(says);
        world.cutover(&["deploy"]).await.exits(1).says(why);
    }
    endpoint.says_each(vec![Says::Elsewhere("/again".to_owned()), good]);
    let done = world.cutover(&["deploy"]).await.exits(0);
    let asked = endpoint.asked();
    let body = &asked[asked.len() - 2].body;
    assert_eq!(
        *body,
        format!("{{\"deployment\": \"{}\"}}", done.deployment())
    );
    assert_eq!(asked[asked.len() - 1].line, "GET /again");
    let record = shown(&world, &done).await;
    assert_eq!(
        check(&record, "smoke", "before")["samples"][0]["value"],
        2.0
    );
    assert!(!record.to_string().contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_whether_endpoints_answer_and_what_to_do() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::prometheus("0.003").await;
    let finding = async || {
        let outcome = world.cutover(&["check"]).await;
        let document = outcome.document();
        let findings = document["findings"].as_array().expect("findings").clone();
        let mut findings = findings.into_iter();
        findings
            .find(|finding| finding["subject"] == "check")
            .expect("the finding")
    };
    checks(&world, &errors(&endpoint, ""));
    let found = finding().await;
    assert_eq!(found["verdict"], "ok", "{found}");
    assert!(
        found["detail"]
            .to_string()
            .contains("the value 0.003 is < 0.01")
    );
    for (says, verdict, remedy) in [
        (
            Says::vector("3"),
            "warning",
            "at present the check would fail",
        ),
        (Says::success("vector", "[]"), "warning", "on_empty says"),
        (Says::Body(401, String::new()), "fault", "give credentials"),
        (Says::success("matrix", "[]"), "fault", "compare url, query"),
    ] {
        endpoint.says(says);
        let found = finding().await;
        assert_eq!(found["verdict"], verdict, "{found}");
        let said = found["remedy"].to_string();
        assert!(said.contains(remedy), "{said}");
    }
}
