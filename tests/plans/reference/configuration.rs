//! The keys of the configuration with their defaults, from the comments of config/default.yaml.

use super::{cell, code, head, table};
use std::fmt::Write;
use std::path::Path;

const ABOUT: &str = "\
A file with every key, as one would write it: [config/example.yaml](../../config/example.yaml); the defaults with these texts:
[config/default.yaml](../../config/default.yaml). `cutover config show` prints what is in force.";

/// One key with the comment above it.
struct Key {
    path: Vec<String>,
    default: String,
    text: String,
    example: Vec<String>,
}

pub(super) fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.yaml");
    let file = std::fs::read_to_string(file).expect("the defaults");
    let (intro, keys) = read(&file);
    let mut page = head(
        "Configuration",
        &format!("{intro}\n\n{ABOUT}"),
        "config/default.yaml",
    );
    let mut keys = keys.iter().peekable();
    while let Some(top) = keys.next() {
        let name = top.path.join(".");
        write!(page, "## {name}\n\n{}\n\n", cell(&top.text)).expect("a page");
        let mut rows = Vec::new();
        let mut examples = example(top);
        while let Some(key) = keys.next_if(|key| key.path.len() > 1) {
            let has_more = keys
                .peek()
                .is_some_and(|next| next.path.starts_with(&key.path));
            let default = if has_more {
                String::new()
            } else {
                default(key)
            };
            rows.push(vec![code(&key.path.join(".")), default, cell(&key.text)]);
            examples += &example(key);
        }
        if rows.is_empty() {
            write!(page, "Default: {}\n\n", default(top)).expect("a page");
        }
        page += &table(&["key", "default", "what"], &rows);
        page += &examples;
    }
    page.trim_end().to_owned() + "\n"
}

fn default(key: &Key) -> String {
    if key.default.is_empty() {
        "`null`".to_owned()
    } else {
        code(&key.default)
    }
}

fn example(key: &Key) -> String {
    if key.example.is_empty() {
        return String::new();
    }
    let mut block = "```yaml title=\"cutover.yaml\"\n".to_owned();
    for (depth, name) in key.path.iter().enumerate() {
        writeln!(block, "{}{name}:", "  ".repeat(depth)).expect("a block");
    }
    for line in &key.example {
        let margin = "  ".repeat(key.path.len().saturating_sub(1));
        writeln!(block, "{margin}{line}").expect("a block");
    }
    block + "```\n\n"
}

/// The text above the first key, and the keys in their order.
fn read(file: &str) -> (String, Vec<Key>) {
    let mut lines = file.lines();
    let intro = lines.by_ref().take_while(|line| !line.is_empty());
    let intro = intro.map(|line| line.trim_start_matches(['#', ' ']));
    let intro = intro.collect::<Vec<_>>().join("\n");
    let (mut keys, mut path) = (Vec::new(), Vec::<String>::new());
    let (mut text, mut example) = (String::new(), Vec::new());
    for line in lines {
        let margin = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.strip_prefix(' ').unwrap_or(comment);
            // What is written further to the right is an example of YAML.
            match comment.strip_prefix("  ") {
                Some(written) => example.push(written.to_owned()),
                None => {
                    text.push_str(comment);
                    text.push(' ');
                }
            }
        } else if let Some((name, value)) = line.split_once(':') {
            path.truncate(margin / 2);
            path.push(name.to_owned());
            keys.push(Key {
                path: path.clone(),
                default: value.trim().to_owned(),
                text: std::mem::take(&mut text),
                example: std::mem::take(&mut example),
            });
        } else {
            assert!(
                line.is_empty(),
                "a line that is neither a key nor a comment: {line}"
            );
        }
    }
    (intro, keys)
}
