//! The HTML that the server itself writes: the form to log in, and the frame of the page with the
//! environments in it, so that there is something to read before, and without, any script.

use super::assets::digest;
use crate::domain::lifecycle::role::Role;
use crate::foundation::escape::visible;
use crate::foundation::span::moment;
use crate::operations::daemon::status::{Activity, Status};
use std::fmt::Write;
use std::sync::Arc;

/// The form to log in. `problem`: why the last attempt failed.
pub(crate) fn login(problem: Option<&str>) -> String {
    let mut page = head("Log in", false);
    page.push_str("<main id=\"main\" class=\"login\"><h1>Cutover</h1>");
    if let Some(problem) = problem {
        let _ = write!(
            page,
            "<p class=\"problem\" role=\"alert\">{}</p>",
            escaped(problem)
        );
    }
    page.push_str(
        "<form method=\"post\" action=\"/login\">\
         <label for=\"token\">Token of the API</label>\
         <input id=\"token\" name=\"token\" type=\"password\" required autocomplete=\"current-password\" \
         spellcheck=\"false\" autofocus>\
         <button type=\"submit\">Log in</button></form>\
         <p class=\"quiet\">One of <code>http.tokens</code>. The browser keeps no token, but a session that ends \
         after twelve hours, or when you log out.</p></main></body></html>",
    );
    page
}

/// The page, with what may be seen of the environments.
pub(crate) fn shell(name: &str, environments: Option<&[Arc<Status>]>) -> String {
    let mut page = head("Cutover", true);
    let _ = write!(
        page,
        "<a class=\"skip\" href=\"#main\">Skip to the content</a>\
         <header><a class=\"brand\" href=\"/\">Cutover</a><nav id=\"nav\" aria-label=\"Views\"></nav>\
         <span id=\"live\" role=\"status\"></span>\
         <form method=\"post\" action=\"/logout\"><span class=\"who\">{}</span> \
         <button type=\"submit\">Log out</button></form></header><main id=\"main\" tabindex=\"-1\">",
        escaped(name)
    );
    match environments {
        Some(environments) => listed(&mut page, environments),
        None => page.push_str(
            "<h1>Nothing to look at</h1><p>This token lacks the scope <code>read</code>. Log out, and in with another.</p>",
        ),
    }
    page.push_str(
        "</main><noscript><p class=\"quiet\">Without JavaScript this is all there is to see here; \
         <code>cutover status</code> and <code>cutover show</code> say the rest.</p></noscript></body></html>",
    );
    page
}

fn head(title: &str, has_script: bool) -> String {
    let digest = digest();
    let script = match has_script {
        true => format!("<script type=\"module\" src=\"/page/{digest}/app.js\"></script>"),
        false => String::new(),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"/page/{digest}/icon.svg\">\
         <link rel=\"stylesheet\" href=\"/page/{digest}/style.css\">{script}</head><body>"
    )
}

fn listed(page: &mut String, environments: &[Arc<Status>]) {
    page.push_str("<h1>Environments</h1>");
    if environments.is_empty() {
        page.push_str("<p>There is none that this token may see.</p>");
    }
    for status in environments {
        let _ = write!(
            page,
            "<section class=\"card\"><h2>{}</h2><dl>",
            escaped(&status.environment)
        );
        let mut row = |name: &str, value: &str| {
            let _ = write!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
        };
        if let Some(deployment) = &status.deployment {
            row("State", deployment.state.as_str());
            row("Since", &moment(deployment.since));
            row("Deployment", &deployment.id);
            if let Some(reason) = &deployment.reason {
                row("Reason", reason);
            }
        } else {
            row("State", "never released");
        }
        row("The daemon", activity(status));
        if let Some(leader) = &status.leader {
            row("Leader", leader);
        }
        if let Some(revision) = &status.revision {
            row("Revision", revision);
        }
        if let Some(at) = status.next_run {
            row("Next firing", &moment(at));
        }
        if let Some(held) = &status.held {
            row("Held", &held.sentence());
        }
        if let Some(frozen) = &status.frozen {
            row("Frozen", &frozen.sentence());
        }
        if let Some(chain) = &status.chain {
            row("Chain", &chain.line(&status.environment));
        }
        if let Some(problem) = &status.problem {
            row("Problem", problem);
        }
        for reader in &status.readers {
            row("The old side waits for", reader);
        }
        for one in status.drift.iter().flat_map(|drift| &drift.found) {
            let since = moment(one.since);
            row("Drift", &format!("{}, since {since}", one.sentence()));
        }
        page.push_str("</dl></section>");
    }
}

fn activity(status: &Status) -> &'static str {
    match (status.role, status.activity) {
        (Role::Starting, _) => "is starting",
        (Role::Standby, _) => "stands by",
        (Role::Leader, Activity::Idle) => "leads, and waits for the schedule or a request",
        (Role::Leader, Activity::Planning) => "plans a release",
        (Role::Leader, Activity::Releasing) => "releases",
        (Role::Leader, Activity::WaitingForPromotion) => "waits for somebody to promote",
        (Role::Leader, Activity::HeldUp) => "waits with what is ready: it is held or frozen",
        (Role::Leader, Activity::WaitingForCleanup) => "waits for somebody to clean up",
        (Role::Leader, Activity::WaitingForAPerson) => "is stuck: a person must look",
        (Role::Leader, Activity::WaitingForADependency) => {
            "waits for something that does not answer"
        }
    }
}

/// Text as it may stand between tags and in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{login, shell};
    use crate::operations::daemon::status::Status;

    #[test]
    fn no_name_becomes_markup() {
        let hostile = "\"><script>alert(1)</script>&'";
        let status = Status {
            environment: hostile.to_owned(),
            leader: Some(hostile.to_owned()),
            revision: Some(hostile.to_owned()),
            problem: Some(hostile.to_owned()),
            readers: vec![hostile.to_owned()],
            ..Status::default()
        };
        for page in [
            shell(hostile, Some(&[status.into()])),
            shell(hostile, None),
            login(Some(hostile)),
        ] {
            assert!(!page.contains("<script>"), "{page}");
            assert!(page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#39;"));
        }
    }
}
