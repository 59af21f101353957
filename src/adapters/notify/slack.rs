//! A message of Slack, in blocks, with the same in one line for whoever shows no blocks.

use crate::domain::notice::{Level, Notice, cut};
use crate::domain::plan::owner::Owner;
use crate::foundation::escape::{visible, visible_lines};
use serde_json::{Value, json};

/// Slack's limits: characters of a header, and of a field; fields of a section.
const LONGEST_HEADER: usize = 150;
const LONGEST_FIELD: usize = 1900;
const LONGEST_SECTION: usize = 2900;
const MOST_FIELDS: usize = 10;

pub(super) fn message(notice: &Notice) -> Value {
    let title = format!("{} {}", sign(notice.level), visible(&notice.title));
    let header = json!({"type": "plain_text", "text": cut(&title, LONGEST_HEADER), "emoji": true});
    let mut blocks = vec![json!({"type": "header", "text": header})];
    if !notice.text.is_empty() {
        blocks.push(json!({"type": "section", "text": markdown(&plain(&visible_lines(&notice.text), LONGEST_SECTION))}));
    }
    let facts = notice.facts();
    let fields = facts.iter().filter(|(name, _)| *name != "Owners");
    let fields = fields.map(|(name, value)| {
        markdown(&format!(
            "*{name}*\n{}",
            plain(&visible(value), LONGEST_FIELD)
        ))
    });
    let fields: Vec<Value> = fields.take(MOST_FIELDS).collect();
    blocks.push(json!({"type": "section", "fields": fields}));
    let owners: Vec<String> = notice.owners.iter().map(mention).collect();
    if !owners.is_empty() {
        let owners = cut(&owners.join(", "), LONGEST_FIELD);
        blocks
            .push(json!({"type": "context", "elements": [markdown(&format!("Owners: {owners}"))]}));
    }
    if let Some(url) = &notice.url {
        let link = format!("<{}|Open the page>", address(url));
        blocks.push(json!({"type": "section", "text": markdown(&link)}));
    }
    json!({"text": plain(&title, LONGEST_SECTION), "blocks": blocks})
}

fn markdown(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// Nothing in it is a link, a mention or a date; what is too long as Slack counts is cut.
fn plain(text: &str, most: usize) -> String {
    let (mut written, mut length) = (String::with_capacity(text.len()), 0);
    for character in text.chars() {
        let mut own = [0; 4];
        let piece = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut own),
        };
        length += piece.chars().count();
        if length >= most {
            written.push('…');
            break;
        }
        written.push_str(piece);
    }
    written
}

/// An address that cannot end the link that it is in.
fn address(url: &str) -> String {
    plain(url, LONGEST_SECTION).replace('|', "%7C")
}

/// An owner; a member of Slack is told.
fn mention(owner: &Owner) -> String {
    let is_member = |id: &&String| {
        let of_id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        id.len() >= 9 && id.starts_with(['U', 'W']) && id.chars().all(of_id)
    };
    let said = plain(&visible(owner.label()), LONGEST_HEADER);
    match &owner.slack {
        Some(id) if is_member(&id) => format!("{said} <@{id}>"),
        Some(channel) if channel != owner.label() => {
            format!("{said} ({})", plain(&visible(channel), LONGEST_HEADER))
        }
        Some(_) | None => said,
    }
}

fn sign(level: Level) -> &'static str {
    match level {
        Level::Info => ":information_source:",
        Level::Warning => ":warning:",
        Level::Error => ":x:",
        Level::Critical => ":rotating_light:",
    }
}

#[cfg(test)]
mod tests {
    use super::{message, plain};
    use crate::domain::notice::Notice;

    #[test]
    fn names_from_outside_are_no_markup() {
        let mut notice = Notice::sample(true);
        notice.reason = Some("<!channel> & <https://evil.example|here>\u{202e}".to_owned());
        notice.owners[0].slack = Some("U012ABCDEF".to_owned());
        notice.word(None, None);
        let written = message(&notice).to_string();
        for hostile in ["<!channel>", "<https://evil", "\u{202e}"] {
            assert!(!written.contains(hostile), "{written}");
        }
        assert!(written.contains("&lt;!channel&gt; &amp; "), "{written}");
        assert!(written.contains("Finance <@U012ABCDEF>"), "{written}");
        assert_eq!(plain("a<b", 4), "a…");
        assert_eq!(plain("a<b", 9), "a&lt;b");
        notice.owners[0].slack = Some("U012ABCDEF> <!here".to_owned());
        assert!(!message(&notice).to_string().contains("<!here"));
    }
}
