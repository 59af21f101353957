//! Markdown of this repository as lines for a terminal: headings, paragraphs, numbered lists and indented blocks, which
//! is what the texts are made of.

use std::fmt::Write;

/// The longest line of a paragraph.
const WIDTH: usize = 92;

/// The text, with paragraphs filled anew and marks taken out.
pub(super) fn text(markdown: &str) -> String {
    let mut text = String::new();
    for block in markdown.split("\n\n") {
        let block = block.trim_matches('\n');
        if block.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(heading) = block.strip_prefix("# ") {
            let heading = heading.trim_end();
            let _ = writeln!(text, "{heading}\n{}", "=".repeat(heading.chars().count()));
        } else if block.lines().all(|line| line.starts_with("    ")) {
            let _ = writeln!(text, "{}", block.trim_end());
        } else {
            for item in items(block) {
                fill(&item, &mut text);
            }
        }
    }
    text
}

/// A paragraph, or each item of a list, in one line.
fn items(block: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in block.lines() {
        match items.last_mut() {
            Some(item) if number(line).is_none() => {
                item.push(' ');
                item.push_str(line.trim());
            }
            Some(_) | None => items.push(line.trim().to_owned()),
        }
    }
    items
}

/// How wide the number of an item is with what follows it: 3 of `1. Plan`.
fn number(line: &str) -> Option<usize> {
    let (number, _) = line.split_once(". ")?;
    let is_one = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| number.len() + 2)
}

/// Writes a paragraph in lines; what follows the first line of an item is indented.
fn fill(paragraph: &str, text: &mut String) {
    let hanging = number(paragraph).unwrap_or(0);
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(hanging));
            column = hanging;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn paragraphs_are_filled_and_blocks_stay() {
        let markdown = "# Head\n\nOne line\nand another, which go on until they are so long that no terminal of the usual width has room for them.\n\n1. First\n   of all.\n2. Second.\n\n    kept   as is\n    here\n";
        insta::assert_snapshot!(text(markdown), @r"
        Head
        ====

        One line and another, which go on until they are so long that no terminal of the usual width
        has room for them.

        1. First of all.
        2. Second.

            kept   as is
            here
        ");
    }
}
