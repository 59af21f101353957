//! The pages of docs/reference that say what the program takes are written from the program, and are true. `make
//! reference` writes them anew.

mod commands;
mod configuration;
mod schemas;

use std::path::Path;

fn is_as_written(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/reference")
        .join(page);
    if std::env::var_os("CUTOVER_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, text).expect("the page is written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first = kept
        .lines()
        .zip(text.lines())
        .find(|(is, ought)| is != ought);
    assert!(
        kept == text,
        "{} is not what the program says (`make reference` writes it anew); the first line that differs: {first:?}",
        path.display()
    );
}

/// A document's head, with where it comes from.
fn head(title: &str, about: &str, from: &str) -> String {
    format!("# {title}\n\n<!-- Written by `make reference` from {from}. -->\n\n{about}\n\n")
}

/// A table with these heads; without rows nothing.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = heads.iter().map(|it| (*it).to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(heads.len()));
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{rule}{rows}\n", line(&heads))
}

/// A text in one cell of a table.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace('|', "\\|");
    // Outside of code a `<` would begin HTML.
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => part.replace('<', "&lt;"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

/// A text in a cell as code.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

#[test]
fn the_page_on_commands_is_what_the_program_takes() {
    is_as_written("commands.md", &commands::page());
}

#[test]
fn the_page_on_configuration_is_what_the_defaults_say() {
    is_as_written("configuration.md", &configuration::page());
}

#[test]
fn the_page_on_the_api_is_what_the_daemon_serves() {
    is_as_written("api.md", &schemas::api());
}

#[test]
fn the_page_on_plans_is_what_their_schema_says() {
    is_as_written("plan.md", &schemas::plan());
}
