//! An Adaptive Card for a workflow of Microsoft Teams. Texts are runs, which no Markdown is read in.

use crate::domain::notice::{Level, Notice, cut};
use crate::foundation::escape::{visible, visible_lines};
use serde_json::{Value, json};

/// The most characters of one fact: a card may have 28 kB.
const LONGEST_FACT: usize = 2000;

pub(super) fn message(notice: &Notice) -> Value {
    let color = match notice.level {
        Level::Info => "Good",
        Level::Warning => "Warning",
        Level::Error | Level::Critical => "Attention",
    };
    let title = json!({"type": "TextRun", "text": visible(&notice.title), "size": "Large", "weight": "Bolder", "color": color});
    let mut body = vec![paragraph(&[title])];
    if !notice.text.is_empty() {
        let text = visible_lines(&notice.text);
        body.push(paragraph(&[json!({"type": "TextRun", "text": text})]));
    }
    for (name, value) in notice.facts() {
        let value = cut(&visible(&value), LONGEST_FACT);
        body.push(paragraph(&[
            json!({"type": "TextRun", "text": format!("{name}: "), "weight": "Bolder"}),
            json!({"type": "TextRun", "text": value}),
        ]));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": visible(&notice.title),
        "body": body,
    });
    if let Some(url) = &notice.url {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open the page", "url": url}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn paragraph(runs: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs})
}

#[cfg(test)]
mod tests {
    use super::message;
    use crate::domain::notice::{LONGEST_TEXT, MOST_NAMED, Notice};

    #[test]
    fn the_longest_card_is_taken() {
        let mut notice = Notice::sample(true);
        notice.reason = Some("🦀".repeat(2 * LONGEST_TEXT));
        notice.nodes = vec!["model.shop.".to_owned() + &"🦀".repeat(300); MOST_NAMED];
        notice.owners = vec![notice.owners[0].clone(); MOST_NAMED];
        notice.word(None, None);
        let bytes = message(&notice).to_string().len();
        assert!(bytes < 28 << 10, "{bytes} bytes");
    }
}
