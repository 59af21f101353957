//! `notify`: one message that says that it is a test.

use super::{Commands, success};
use crate::foundation::failure::Class;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::Notify;
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::NotifiedView;
use crate::operations::{notifications, release};
use anyhow::anyhow;

pub(super) async fn notify(commands: &Commands, arguments: &Notify, output: &Output) -> Answer {
    let wanted = commands.wanted(&arguments.target, Vec::new());
    let loaded = release::configuration(&wanted)?;
    let settings = &loaded.settings;
    let targets = settings.targets();
    let name = arguments.test.as_str();
    let Some(target) = targets.iter().find(|target| target.name == name) else {
        let known: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
        let hint = match known.as_slice() {
            [] => "configure `webhooks` or `notifications` first".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        let error = anyhow!("there is no webhook or notification {name:?}");
        return Err(CommandError::new(Class::Usage, error).with_hint(hint));
    };
    let environment = loaded.environment.as_deref();
    let environment = environment.or(arguments.target.environment.as_deref());
    let base = loaded.folder(&wanted.working_directory);
    let sent = notifications::trial(target, settings, environment.unwrap_or("test"), &base).await;
    let title = sent.map_err(|why| {
        let error = anyhow!("{name} was not told: {why}");
        CommandError::new(Class::Transient, error).with_hint(
            "correct the target in the configuration, or see to it that it answers from here",
        )
    })?;
    output.document(&NotifiedView {
        target: target.name.clone(),
        kind: target.word(),
        title,
    });
    success()
}
