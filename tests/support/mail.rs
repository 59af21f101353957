//! A mail server that keeps what it gets.

use super::certificate::HERE;
use super::tls_server::server_config;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How a server encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypts {
    /// Never.
    Never,
    /// After STARTTLS, and nothing is taken before.
    Starttls,
    /// From the beginning.
    Always,
}

/// One mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom it goes.
    pub to: Vec<String>,
    /// Who logged in, with which password.
    pub login: Option<(String, String)>,
    /// The headers, unfolded.
    pub headers: Vec<String>,
    /// The text.
    pub text: String,
}

/// Listens until the test ends.
pub struct MailServer {
    /// `HOST:PORT`.
    pub place: String,
    files: tempfile::TempDir,
    kept: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// Listens at a port of its own.
    pub async fn listen(encrypts: Encrypts) -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let config = server_config(files.path(), "mail", HERE);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let kept = Arc::default();
        let keep = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, encrypts, acceptor.clone(), Arc::clone(&keep)));
            }
        });
        Self {
            place: format!("127.0.0.1:{port}"),
            files,
            kept,
        }
    }

    /// Its certificate, which is its own authority.
    pub fn authority(&self) -> PathBuf {
        self.files.path().join("mail.pem")
    }

    /// What came so far, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.kept.lock().expect("no panic").clone()
    }
}

async fn serve(
    stream: TcpStream,
    encrypts: Encrypts,
    acceptor: TlsAcceptor,
    kept: Arc<Mutex<Vec<Mail>>>,
) {
    // A client that goes away is what some of the tests are about.
    if encrypts == Encrypts::Always {
        if let Ok(stream) = acceptor.accept(stream).await {
            let _ = talk(BufReader::new(stream), true, true, &kept).await;
        }
        return;
    }
    let secret = encrypts == Encrypts::Never;
    let Ok(Some(rest)) = talk(BufReader::new(stream), true, secret, &kept).await else {
        return;
    };
    if let Ok(stream) = acceptor.accept(rest.into_inner()).await {
        let _ = talk(BufReader::new(stream), false, true, &kept).await;
    }
}

/// Speaks SMTP. Gives the stream back where it is to be encrypted now. Without `secret` only STARTTLS is taken.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    greets: bool,
    secret: bool,
    kept: &Mutex<Vec<Mail>>,
) -> std::io::Result<Option<BufReader<S>>> {
    if greets {
        stream.write_all(b"220 here\r\n").await?;
    }
    let (mut to, mut login) = (Vec::new(), None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        let answer = match (verb.as_str(), secret) {
            ("EHLO", false) => "250-here\r\n250 STARTTLS",
            ("EHLO", true) => "250-here\r\n250 AUTH PLAIN",
            ("STARTTLS", false) => {
                stream.write_all(b"220 go on\r\n").await?;
                return Ok(Some(stream));
            }
            ("NOOP", _) => "250 good",
            ("QUIT", _) => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(None);
            }
            ("AUTH", true) => {
                let given = line.rsplit(' ').next().unwrap_or_default();
                let given = STANDARD.decode(given).expect("base64");
                let given = String::from_utf8(given).expect("a text");
                let mut parts = given.split('\0').skip(1).map(str::to_owned);
                let pair = parts.next().zip(parts.next()).expect("two parts");
                let is_good = pair.1 != "wrong";
                login = Some(pair);
                if is_good {
                    "235 good"
                } else {
                    "535 no such user"
                }
            }
            ("MAIL", true) => "250 good",
            ("RCPT", true) => {
                let address = line.split(['<', '>']).nth(1).expect("an address");
                to.push(address.to_owned());
                "250 good"
            }
            ("DATA", true) => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut data = String::new();
                while !data.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut data).await? == 0 {
                        return Ok(None);
                    }
                }
                let mail = read(&data, std::mem::take(&mut to), login.clone());
                kept.lock().expect("no panic").push(mail);
                "250 taken"
            }
            _ => "502 not here",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

fn read(data: &str, to: Vec<String>, login: Option<(String, String)>) -> Mail {
    let data = data.strip_suffix("\r\n.\r\n").expect("an end");
    let (headers, body) = data.split_once("\r\n\r\n").expect("a body");
    let text = STANDARD.decode(body.replace("\r\n", "")).expect("base64");
    Mail {
        to,
        login,
        headers: headers
            .replace("\r\n ", " ")
            .split("\r\n")
            .map(str::to_owned)
            .collect(),
        text: String::from_utf8(text).expect("a text"),
    }
}

impl Mail {
    /// The value of a header.
    pub fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let mut values = self
            .headers
            .iter()
            .filter_map(|line| line.strip_prefix(&start));
        values
            .next()
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}
