//! `help`, `explain`, `completions`, `man`: what needs no project, no configuration and no server.

use super::handlers::{Answer, Ending};
use crate::foundation::escape::visible;
use crate::foundation::failure::Class;
use crate::interfaces::console::arguments::Arguments;
use crate::interfaces::console::arguments::guide::{Completions, Explain, Help, Man};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::guide::{explained, nearest, refusals, topic, topics};
use crate::interfaces::record::{ExplainedView, GuideView};
use anyhow::anyhow;
use clap::CommandFactory;

/// `cutover help`
pub(super) fn help(arguments: &Help, output: &Output) -> Answer {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let of_command = usage(&words);
    let topic = match words.as_slice() {
        [word] => topic(word),
        _ => None,
    };
    let text = match (of_command, topic) {
        (Some(usage), Some(topic)) => format!("{topic}\n{usage}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => return Err(no_such(&words)),
    };
    let text = match words.is_empty() {
        true => format!(
            "{text}\nTopics (cutover help TOPIC): {}\n",
            topics().join(", ")
        ),
        false => text,
    };
    output.document(&GuideView {
        name: (!words.is_empty()).then(|| words.join(" ")),
        text,
        names: topics(),
    });
    Ok(Ending::Success)
}

/// The long help of a command; of the program where no word is given.
fn usage(words: &[&str]) -> Option<String> {
    let mut command = Arguments::command();
    command.build();
    let mut found = &mut command;
    for word in words {
        found = found.find_subcommand_mut(word)?;
    }
    Some(found.render_long_help().to_string())
}

fn no_such(words: &[&str]) -> CommandError {
    let command = Arguments::command();
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let known = commands.map(|it| it.get_name().to_owned()).chain(topics());
    let asked = words.join(" ");
    let hint = match nearest(&asked, known) {
        Some(near) => format!("did you mean `cutover help {near}`? "),
        None => String::new(),
    };
    let error = anyhow!("there is no command and no topic {}", visible(&asked));
    CommandError::new(Class::Usage, error).with_hint(format!(
        "{hint}topics: {}; commands: cutover --help",
        topics().join(", ")
    ))
}

/// `cutover explain`
pub(super) fn explain(arguments: &Explain, output: &Output) -> Answer {
    let names = refusals();
    let Some(asked) = &arguments.name else {
        output.document(&GuideView {
            name: None,
            text: names.iter().map(|name| format!("{name}\n")).collect(),
            names,
        });
        return Ok(Ending::Success);
    };
    let asked = asked.trim().trim_matches('`').to_ascii_lowercase();
    if let Some(explained) = explained(&asked) {
        output.document(&ExplainedView {
            name: explained.name.to_owned(),
            may_be_allowed: explained.may_be_allowed,
            text: explained.text,
        });
        return Ok(Ending::Success);
    }
    let error = anyhow!("there is no refusal {}", visible(&asked));
    let hint = match nearest(&asked, names.into_iter()) {
        Some(near) => format!("did you mean `cutover explain {near}`?"),
        None => "`cutover explain` lists the names".to_owned(),
    };
    Err(CommandError::new(Class::Usage, error).with_hint(hint))
}

/// `cutover completions`
pub(super) fn completions(arguments: &Completions, output: &Output) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "cutover",
        &mut script,
    );
    output.text(&String::from_utf8_lossy(&script));
    Ok(Ending::Success)
}

/// `cutover man`
pub(super) fn man(arguments: &Man, _: &Output) -> Answer {
    let command = Arguments::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &arguments.folder).map_err(|error| {
        let place = arguments.folder.display().to_string();
        let error = anyhow::Error::new(error).context(format!(
            "man pages cannot be written to {}",
            visible(&place)
        ));
        CommandError::new(Class::Usage, error)
            .with_hint("name a folder that exists and may be written to")
    })?;
    Ok(Ending::Success)
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn commands_have_their_help() {
        assert!(usage(&["deploy"]).is_some_and(|text| text.contains("cutover deploy")));
        assert!(usage(&["ci", "build"]).is_some_and(|text| text.contains("cutover ci build")));
        assert!(usage(&["nothing"]).is_none());
    }
}
