//! Commands and flags, from the parser itself.

use super::{cell, code, head, table};
use clap::{Arg, ArgAction, Command, CommandFactory};
use cutover::interfaces::console::Arguments;
use std::fmt::Write;

const ABOUT: &str = "\
`ENV` is a named environment of the configuration; without environments it is the dbt target. Flags that every command takes
come first. The same text is in the program: `cutover --help`, `cutover deploy --help`.";

pub(super) fn page() -> String {
    let mut program = Arguments::command();
    program.build();
    let mut page = head("Commands", ABOUT, "the program's own arguments");
    page += "## Flags of every command\n\n";
    let all: Vec<&Arg> = program.get_arguments().filter(|it| shown(it)).collect();
    let mut headings: Vec<&str> = all.iter().filter_map(|it| it.get_help_heading()).collect();
    headings.dedup();
    headings.sort_unstable();
    headings.dedup();
    for heading in headings {
        let of_heading = all
            .iter()
            .filter(|it| it.get_help_heading() == Some(heading));
        let rows: Vec<_> = of_heading.map(|it| row(it)).collect();
        write!(page, "### {heading}\n\n{}", table(&["flag", "what"], &rows)).expect("a page");
    }
    for command in program.get_subcommands_mut() {
        describe(command, "cutover", &mut page);
    }
    page.trim_end().to_owned() + "\n"
}

fn shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

fn describe(command: &mut Command, above: &str, page: &mut String) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    write!(page, "## {name}\n\n{}\n\n", sentence(&about)).expect("a page");
    if command.has_subcommands() {
        for command in command.get_subcommands_mut() {
            describe(command, &name, page);
        }
        return;
    }
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim().to_owned();
    write!(page, "```text\n{usage}\n```\n\n").expect("a page");
    let own = command.get_arguments();
    let own = own.filter(|it| shown(it) && !it.is_global_set());
    let rows: Vec<_> = own.map(row).collect();
    *page += &table(&["argument", "what"], &rows);
    if let Some(after) = command.get_after_help() {
        write!(page, "```text\n{after}\n```\n\n").expect("a page");
    }
}

fn sentence(text: &str) -> String {
    match text.ends_with('.') || text.is_empty() {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

fn row(argument: &Arg) -> Vec<String> {
    let takes = !matches!(
        argument.get_action(),
        ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count
    );
    let value = argument.get_value_names().map(|names| names.join(" "));
    let value = value.unwrap_or_default();
    let is_optional = argument
        .get_num_args()
        .is_some_and(|it| it.min_values() == 0);
    let mut names = Vec::new();
    if let Some(short) = argument.get_short() {
        names.push(format!("-{short}"));
    }
    if let Some(long) = argument.get_long() {
        names.push(format!("--{long}"));
    }
    let name = match (names.is_empty(), takes) {
        (true, _) => value,
        (false, true) if is_optional => format!("{}[={value}]", names.join(", ")),
        (false, true) => format!("{} {value}", names.join(", ")),
        (false, false) => names.join(", "),
    };
    let help = argument.get_help().map(ToString::to_string);
    let mut what = cell(&help.unwrap_or_default());
    if takes {
        let values = argument.get_possible_values();
        let values: Vec<_> = values.iter().map(|it| code(it.get_name())).collect();
        if !values.is_empty() {
            what += &format!(". One of {}", values.join(", "));
        }
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|it| code(&it.to_string_lossy())).collect();
        if !defaults.is_empty() {
            what += &format!(". Default: {}", defaults.join(", "));
        }
    }
    if let Some(variable) = argument.get_env() {
        what += &format!(
            ". In the environment: {}",
            code(&variable.to_string_lossy())
        );
    }
    vec![code(&name), what]
}
