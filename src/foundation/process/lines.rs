//! Lines out of a pipe whose writer is not to be trusted: endless lines, invalid UTF-8, floods.

use std::collections::VecDeque;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The most that is kept of one line, in bytes; the rest of the line is read and forgotten.
pub const LINE_LIMIT: usize = 1 << 20;

/// A line reader in constant memory. Dropping a pending [`Lines::next`] loses nothing.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    left_out: usize,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines from `source`.
    pub fn new(source: R) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, source),
            line: Vec::new(),
            left_out: 0,
            ended: false,
        }
    }

    /// Whether the writer closed its end and every line was returned.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The next line without its end, `None` at the end. A read error is an end: the pipe is gone.
    pub async fn next(&mut self) -> Option<String> {
        while !self.ended {
            let Ok(chunk) = self.reader.fill_buf().await else {
                self.ended = true;
                break;
            };
            if chunk.is_empty() {
                self.ended = true;
                break;
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let piece = &chunk[..end.unwrap_or(chunk.len())];
            let kept = piece.len().min(LINE_LIMIT - self.line.len());
            self.line.extend_from_slice(&piece[..kept]);
            self.left_out += piece.len() - kept;
            let consumed = end.map_or(chunk.len(), |at| at + 1);
            self.reader.consume(consumed);
            if end.is_some() {
                return Some(self.take());
            }
        }
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let mut text = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if text.ends_with('\r') {
            text.pop();
        }
        if self.left_out > 0 {
            text.push_str(&format!(" … ({} bytes left out)", self.left_out));
            self.left_out = 0;
        }
        text
    }
}

/// The last lines of an output, bounded in bytes.
#[derive(Debug)]
pub struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
    limit: usize,
}

impl Tail {
    /// Keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Adds one line and forgets the oldest ones that no longer fit.
    pub fn push(&mut self, line: &str) {
        let line = shorten(line, self.limit);
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > self.limit + 1 && self.lines.len() > 1 {
            if let Some(oldest) = self.lines.pop_front() {
                self.bytes -= oldest.len() + 1;
            }
        }
    }

    /// The kept lines as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

/// `text`, cut at a character so that it is at most `limit` bytes and the mark of the cut.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::{LINE_LIMIT, Lines, Tail, shorten};

    async fn read_all(bytes: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(bytes);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(line);
        }
        assert!(lines.ended());
        read
    }

    #[tokio::test]
    async fn lines_end_with_newline_carriage_return_or_the_pipe() {
        assert_eq!(read_all(b"a\nb\r\n\nc").await, ["a", "b", "", "c"]);
        assert!(read_all(b"").await.is_empty());
    }

    #[tokio::test]
    async fn invalid_utf8_is_replaced() {
        assert_eq!(
            read_all(b"caf\xe9\nok\n").await,
            ["caf\u{fffd}", "ok"].map(str::to_owned)
        );
    }

    #[tokio::test]
    async fn the_rest_of_an_endless_line_is_left_out() {
        let mut bytes = vec![b'x'; LINE_LIMIT + 10];
        bytes.extend_from_slice(b"\nnext\n");
        let lines = read_all(&bytes).await;
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("x … (10 bytes left out)"));
        assert_eq!(lines[1], "next");
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut tail = Tail::new(10);
        for line in ["first", "second", "x", "yz"] {
            tail.push(line);
        }
        assert_eq!(tail.text(), "x\nyz".to_owned());
        tail.push(&"é".repeat(20));
        assert!(tail.text().len() <= 13, "{}", tail.text());
    }

    #[test]
    fn shortening_respects_characters() {
        assert_eq!(shorten("ééé", 3), "é…");
        assert_eq!(shorten("abc", 3), "abc");
    }
}
