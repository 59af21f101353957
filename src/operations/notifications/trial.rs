//! A target tried by hand: whether it is there, and one message that says that it is a test.

use super::page;
use crate::adapters::notify::{Act, Courier, Incident, Letter, Sent};
use crate::domain::notice::{Level, Notice};
use crate::domain::records::subject::Subject;
use crate::inputs::settings::{Settings, Target};
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;
use uuid::Uuid;

/// Whether a target is there, without telling it anything. Says what was reached, or what is wrong.
pub(crate) async fn reach(target: &Target, base: &Path) -> Result<String, String> {
    Courier::new(base.to_owned())?.reach(target).await
}

/// Sends one message. Gives its title.
///
/// # Errors
/// Why it did not arrive, and what to do.
pub(crate) async fn trial(
    target: &Target,
    settings: &Settings,
    environment: &str,
    base: &Path,
) -> Result<String, String> {
    let id = Uuid::now_v7().to_string();
    let by = Subject::of_process().to_string();
    let mut notice = Notice {
        topic: "test".to_owned(),
        level: Level::Info,
        environment: environment.to_owned(),
        deployment: None,
        state: None,
        revision: None,
        reason: Some("somebody tries whether messages arrive; nothing happened".to_owned()),
        at: Timestamp::now(),
        owners: Vec::new(),
        nodes: Vec::new(),
        node_count: 0,
        url: page(settings).map(|page| format!("{page}/#/")),
        what: "this is a test".to_owned(),
        title: String::new(),
        text: String::new(),
        by: Some(by),
        id: id.clone(),
    };
    let wrong = notice.word(target.title.as_deref(), target.text.as_deref());
    if !wrong.is_empty() {
        return Err(format!(
            "its template cannot be rendered: {}",
            wrong.join("; ")
        ));
    }
    let title = notice.title.clone();
    let letter = Letter {
        sentence: format!("{title} – {}", notice.text),
        details: json!({"kind": "test", "environment": environment}),
        incident: Some(Incident {
            act: Act::Trigger,
            keys: vec![format!("cutover/test/{id}")],
        }),
        notice,
    };
    match Courier::new(base.to_owned())?.send(target, &letter).await {
        Ok(Sent::Taken) => Ok(title),
        Ok(Sent::Nobody) => Err(
            "it writes to the owners of nodes alone, and a test is about no node; add an address to its `to` to try it"
                .to_owned(),
        ),
        Err(error) => Err(error.why),
    }
}
