//! News as they come.

use super::ClientError;
use crate::interfaces::api::document::Missed;
use crate::operations::daemon::status;
use reqwest::Response;
use std::collections::VecDeque;

/// The longest event, in bytes. A longer one is no event of a daemon.
const LONGEST: usize = 4 << 20;

/// What comes over a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// News.
    News(Box<status::News>),
    /// This reader was too slow and missed so many.
    Missed(u64),
}

/// News of a daemon. Dropped, it is not listened to any more.
#[derive(Debug)]
pub struct News {
    answer: Response,
    place: String,
    parser: Parser,
}

impl News {
    pub(super) fn new(answer: Response, place: String) -> Self {
        Self {
            answer,
            place,
            parser: Parser::default(),
        }
    }

    /// The next item; `None` when the daemon ended the stream. May be dropped and called again.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        loop {
            if let Some(item) = self.parser.ready.pop_front() {
                return Ok(Some(item));
            }
            let chunk = self.answer.chunk().await;
            let chunk = chunk.map_err(|source| ClientError::Lost {
                place: self.place.clone(),
                source: source.without_url(),
            })?;
            let Some(chunk) = chunk else { return Ok(None) };
            if !self.parser.push(&chunk) {
                return Err(ClientError::Unreadable {
                    place: self.place.clone(),
                    problem: "an event is too long".to_owned(),
                });
            }
        }
    }
}

/// Puts events together from pieces. What this version does not know is left out.
#[derive(Debug, Default)]
struct Parser {
    rest: Vec<u8>,
    event: String,
    data: String,
    ready: VecDeque<Item>,
}

impl Parser {
    /// Takes a piece; `false` when an event is too long.
    fn push(&mut self, piece: &[u8]) -> bool {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.strip_suffix('\n').unwrap_or(&line);
            self.line(line.strip_suffix('\r').unwrap_or(line));
        }
        self.rest.len() <= LONGEST && self.data.len() <= LONGEST
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let (event, data) = (
                std::mem::take(&mut self.event),
                std::mem::take(&mut self.data),
            );
            self.ready.extend(item(&event, &data));
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments, and what later versions may add.
            _ => {}
        }
    }
}

fn item(event: &str, data: &str) -> Option<Item> {
    if event == "missed" {
        let Missed { missed } = serde_json::from_slice(data.as_bytes()).ok()?;
        return Some(Item::Missed(missed));
    }
    serde_json::from_slice(data.as_bytes()).ok().map(Item::News)
}

#[cfg(test)]
mod tests {
    use super::{Item, Parser};

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let news = r#"{"environment":"prod","deployment":null,"at":"2026-01-01T00:00:00Z","progress":{"event":"note","text":"é"}}"#;
        let text = format!(
            ": alive\n\nevent: note\ndata: {news}\n\nevent: later\r\ndata: {{}}\r\n\r\nevent: missed\ndata: {{\"missed\":3}}\n\n"
        );
        for size in [1, 2, 7, text.len()] {
            let mut parser = Parser::default();
            for piece in text.as_bytes().chunks(size) {
                assert!(parser.push(piece));
            }
            let items: Vec<Item> = parser.ready.into_iter().collect();
            let [Item::News(first), Item::Missed(3)] = items.as_slice() else {
                panic!("{items:?}");
            };
            assert_eq!(first.environment, "prod");
        }
        let mut parser = Parser::default();
        assert!(!parser.push(&vec![b'x'; super::LONGEST + 1]));
    }
}
