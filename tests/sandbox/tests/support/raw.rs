//! A bare client of the wire protocol: it shows tags, type OIDs and SQLSTATEs just as they were sent.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// What the last statement of a string answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A command tag.
    Tag(String),
    /// Names, OIDs and rows in text format.
    Rows(Vec<String>, Vec<u32>, Vec<Vec<Option<String>>>),
    /// SQLSTATE and message.
    Error(String, String),
}

/// A connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

fn text(body: &[u8], at: &mut usize) -> String {
    let end = body[*at..]
        .iter()
        .position(|b| *b == 0)
        .map_or(body.len(), |n| *at + n);
    let out = String::from_utf8_lossy(&body[*at..end]).into_owned();
    *at = end + 1;
    out
}

fn u32_at(body: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]])
}

impl Raw {
    /// Connects to `host:port` as a role.
    pub fn connect(address: &str, role: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut body = 196_608u32.to_be_bytes().to_vec();
        for part in [
            "user",
            role,
            "database",
            "materialize",
            "options",
            "--welcome_message=off --current_object_missing_warnings=off",
            "",
        ] {
            body.extend_from_slice(part.as_bytes());
            body.push(0);
        }
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&body)?;
        let mut raw = Self { stream };
        loop {
            let (tag, body) = raw.frame()?;
            match tag {
                b'Z' => return Ok(raw),
                b'E' => {
                    return Err(io::Error::other(
                        String::from_utf8_lossy(&body).into_owned(),
                    ));
                }
                _ => {}
            }
        }
    }

    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let mut body = vec![0; u32_at(&head, 1) as usize - 4];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }

    /// Sends a string of statements; the answer of the last one, or the error.
    pub fn query(&mut self, sql: &str) -> io::Result<Answer> {
        let length = u32::try_from(sql.len() + 5).map_err(io::Error::other)?;
        let mut out = vec![b'Q'];
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(sql.as_bytes());
        out.push(0);
        self.stream.write_all(&out)?;
        let mut answer = Answer::Tag(String::new());
        let mut rows = None;
        loop {
            let (tag, body) = self.frame()?;
            match tag {
                b'T' => rows = Some(described(&body)),
                b'D' => {
                    if let Some((_, _, rows)) = &mut rows {
                        rows.push(values(&body));
                    }
                }
                b'C' => {
                    answer = match rows.take() {
                        Some((names, oids, rows)) => Answer::Rows(names, oids, rows),
                        None => Answer::Tag(text(&body, &mut 0)),
                    };
                }
                b'E' => {
                    let (mut code, mut message, mut at) = (String::new(), String::new(), 0);
                    while body.get(at).is_some_and(|key| *key != 0) {
                        let key = body[at];
                        at += 1;
                        let value = text(&body, &mut at);
                        match key {
                            b'C' => code = value,
                            b'M' => message = value,
                            _ => {}
                        }
                    }
                    answer = Answer::Error(code, message);
                }
                b'Z' => return Ok(answer),
                _ => {}
            }
        }
    }
}

type Described = (Vec<String>, Vec<u32>, Vec<Vec<Option<String>>>);

fn described(body: &[u8]) -> Described {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let (mut names, mut oids, mut at) = (Vec::new(), Vec::new(), 2);
    for _ in 0..count {
        names.push(text(body, &mut at));
        oids.push(u32_at(body, at + 6));
        at += 18;
    }
    (names, oids, Vec::new())
}

fn values(body: &[u8]) -> Vec<Option<String>> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let (mut out, mut at) = (Vec::new(), 2);
    for _ in 0..count {
        let length = u32_at(body, at);
        at += 4;
        out.push((length != u32::MAX).then(|| {
            let end = at + length as usize;
            let value = String::from_utf8_lossy(&body[at..end]).into_owned();
            at = end;
            value
        }));
    }
    out
}
