//! PostgreSQL's wire protocol, version 3: frames, and the few messages the front writes itself.
//!
//! Frames are kept whole and uninterpreted wherever possible; only what the front must know is decoded.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::failure::{Notice, SqlError};

/// One typed message.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Message type byte.
    pub tag: u8,
    /// Everything behind the length.
    pub body: Vec<u8>,
}

const MAX_FRAME: usize = 256 << 20;

/// Reads one frame; `None` at a clean end of the stream.
pub async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Option<Frame>> {
    let mut head = [0u8; 5];
    let mut got = 0;
    while got < head.len() {
        let n = reader.read(&mut head[got..]).await?;
        if n == 0 {
            return if got == 0 {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        got += n;
    }
    let body = read_body(
        reader,
        u32::from_be_bytes([head[1], head[2], head[3], head[4]]),
    )
    .await?;
    Ok(Some(Frame { tag: head[0], body }))
}

/// Reads a start-up packet (no type byte).
pub async fn read_startup<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Vec<u8>> {
    let length = reader.read_u32().await?;
    read_body(reader, length).await
}

async fn read_body<R: AsyncRead + Unpin>(reader: &mut R, length: u32) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?;
    if !(4..=MAX_FRAME).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length - 4];
    reader.read_exact(&mut body).await?;
    Ok(body)
}

/// Reads fields out of a frame's body.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the beginning of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// `count` raw bytes.
    pub fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (head, tail) = self
            .rest
            .split_at_checked(count)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.rest = tail;
        Ok(head)
    }

    /// A big-endian 16-bit count.
    pub fn u16(&mut self) -> io::Result<u16> {
        let b = self.bytes(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    /// A big-endian 32-bit number.
    pub fn u32(&mut self) -> io::Result<u32> {
        let b = self.bytes(4)?;
        Ok(u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// One byte.
    pub fn u8(&mut self) -> io::Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    /// A zero-terminated string.
    pub fn text(&mut self) -> io::Result<String> {
        let end = self
            .rest
            .iter()
            .position(|b| *b == 0)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Builds messages one behind the other.
#[derive(Debug, Default)]
pub struct Writer {
    /// The bytes so far.
    pub buffer: Vec<u8>,
}

impl Writer {
    /// Appends a message whose body `fill` writes.
    pub fn message(&mut self, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        self.buffer.push(tag);
        self.untyped(fill);
    }

    /// Appends a packet without a type byte.
    pub fn untyped(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        fill(&mut self.buffer);
        let length = u32::try_from(self.buffer.len() - at).unwrap_or(u32::MAX);
        self.buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Appends a frame as it came.
    pub fn frame(&mut self, frame: &Frame) {
        self.message(frame.tag, |b| b.extend_from_slice(&frame.body));
    }

    /// `CommandComplete`.
    pub fn complete(&mut self, tag: &str) {
        self.message(b'C', |b| put_text(b, tag));
    }

    /// `ReadyForQuery`.
    pub fn ready(&mut self, status: u8) {
        self.message(b'Z', |b| b.push(status));
    }

    /// `ParameterStatus`.
    pub fn parameter(&mut self, name: &str, value: &str) {
        self.message(b'S', |b| {
            put_text(b, name);
            put_text(b, value);
        });
    }

    /// `ErrorResponse`.
    pub fn error(&mut self, error: &SqlError) {
        self.message(b'E', |b| {
            fields(
                b,
                "ERROR",
                &error.code,
                &error.message,
                error.detail.as_deref(),
                error.hint.as_deref(),
            );
        });
    }

    /// `ErrorResponse` of severity FATAL.
    pub fn fatal(&mut self, error: &SqlError) {
        self.message(b'E', |b| {
            fields(b, "FATAL", &error.code, &error.message, None, None)
        });
    }

    /// `NoticeResponse`.
    pub fn notice(&mut self, notice: &Notice) {
        self.message(b'N', |b| {
            fields(
                b,
                "NOTICE",
                "00000",
                &notice.message,
                notice.detail.as_deref(),
                None,
            )
        });
    }

    /// `RowDescription` of named columns with type OIDs, all in text format.
    pub fn row_description(&mut self, columns: &[(&str, u32)]) {
        self.message(b'T', |b| {
            b.extend_from_slice(&u16::try_from(columns.len()).unwrap_or(0).to_be_bytes());
            for (name, oid) in columns {
                put_text(b, name);
                b.extend_from_slice(&[0; 6]);
                b.extend_from_slice(&oid.to_be_bytes());
                b.extend_from_slice(&(-1i16).to_be_bytes());
                b.extend_from_slice(&(-1i32).to_be_bytes());
                b.extend_from_slice(&[0; 2]);
            }
        });
    }

    /// `DataRow` of text values.
    pub fn data_row(&mut self, values: &[Option<String>]) {
        self.message(b'D', |b| {
            b.extend_from_slice(&u16::try_from(values.len()).unwrap_or(0).to_be_bytes());
            for value in values {
                match value {
                    None => b.extend_from_slice(&(-1i32).to_be_bytes()),
                    Some(text) => {
                        b.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
                        b.extend_from_slice(text.as_bytes());
                    }
                }
            }
        });
    }
}

/// Appends a zero-terminated string.
pub fn put_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend(text.bytes().filter(|b| *b != 0));
    buffer.push(0);
}

fn fields(
    b: &mut Vec<u8>,
    severity: &str,
    code: &str,
    message: &str,
    detail: Option<&str>,
    hint: Option<&str>,
) {
    let all = [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(code)),
        (b'M', Some(message)),
        (b'D', detail),
        (b'H', hint),
    ];
    for (key, value) in all {
        if let Some(value) = value {
            b.push(key);
            put_text(b, value);
        }
    }
    b.push(0);
}

/// Decodes an `ErrorResponse` of the backend.
pub fn parse_error(frame: &Frame) -> SqlError {
    let mut error = SqlError::internal("malformed error response");
    let mut fields = Fields::new(&frame.body);
    while let Ok(key) = fields.u8() {
        if key == 0 {
            break;
        }
        let Ok(value) = fields.text() else { break };
        match key {
            b'C' => error.code = value,
            b'M' => error.message = value,
            b'D' => error.detail = Some(value),
            b'H' => error.hint = Some(value),
            _ => {}
        }
    }
    error
}

/// Column names and values of a row set, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Name and type OID of each column.
    pub columns: Vec<(String, u32)>,
    /// Values in text format.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Decodes a `RowDescription`.
pub fn parse_row_description(frame: &Frame) -> io::Result<Vec<(String, u32)>> {
    let mut fields = Fields::new(&frame.body);
    let count = fields.u16()?;
    (0..count)
        .map(|_| {
            let name = fields.text()?;
            fields.bytes(6)?;
            let oid = fields.u32()?;
            fields.bytes(8)?;
            Ok((name, oid))
        })
        .collect()
}

/// Decodes a `DataRow` in text format.
pub fn parse_data_row(frame: &Frame) -> io::Result<Vec<Option<String>>> {
    let mut fields = Fields::new(&frame.body);
    let count = fields.u16()?;
    (0..count)
        .map(|_| match fields.u32()? {
            u32::MAX => Ok(None),
            length => {
                let bytes = fields
                    .bytes(usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?)?;
                Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
            }
        })
        .collect()
}
