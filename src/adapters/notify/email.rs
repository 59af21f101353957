//! Mail over SMTP. A message is plain text in UTF-8, composed here (RFC 5322, 2045 and 2047); the protocol is lettre's.

use super::{Courier, Letter, Sent, Undelivered};
use crate::domain::notice::Notice;
use crate::foundation::escape::{visible, visible_lines};
use crate::foundation::failure::with_causes;
use crate::foundation::tls;
use crate::inputs::settings::Target;
use crate::inputs::settings::notifications::{Email, MailTls, OWNERS};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;
use std::collections::BTreeSet;

/// The most bytes of a text in one encoded word, of which a line with what is around may have 76.
const WORD: usize = 39;

/// The most characters of a line of base64.
const LINE: usize = 76;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

impl Courier {
    pub(super) async fn mail(
        &self,
        target: &Target,
        email: &Email,
        letter: &Letter,
    ) -> Result<Sent, Undelivered> {
        let to = recipients(email, &letter.notice);
        if to.is_empty() {
            return Ok(Sent::Nobody);
        }
        let because = |error: &dyn std::error::Error| Undelivered::because(with_causes(error));
        let from: Address = email.from.parse().map_err(|error| because(&error))?;
        let mail = compose(&from, &to, &letter.notice);
        let envelope = Envelope::new(Some(from), to).map_err(|error| because(&error))?;
        let transport = self.transport(target, email)?;
        let sent = transport.send_raw(&envelope, mail.as_bytes()).await;
        sent.map(|_| Sent::Taken).map_err(|error| because(&error))
    }

    pub(super) async fn mail_server(
        &self,
        target: &Target,
        email: &Email,
    ) -> Result<String, String> {
        let transport = self.transport(target, email).map_err(|error| error.why)?;
        match transport.test_connection().await {
            Ok(true) => Ok(match email.user {
                Some(_) => format!("{} answers, and knows the user", email.server),
                None => format!("{} answers", email.server),
            }),
            Ok(false) => Err(format!("{} does not take mail now", email.server)),
            Err(error) => Err(with_causes(&error)),
        }
    }

    fn transport(&self, target: &Target, email: &Email) -> Result<Transport, Undelivered> {
        tls::provider();
        let (host, port) = email.place().unwrap_or_default();
        let parameters = || {
            let parameters = TlsParameters::new(host.to_owned());
            parameters.map_err(|error| Undelivered::because(with_causes(&error)))
        };
        let how = match email.tls {
            MailTls::Starttls => Tls::Required(parameters()?),
            MailTls::Implicit => Tls::Wrapper(parameters()?),
            MailTls::None => Tls::None,
        };
        let mut transport = Transport::builder_dangerous(host)
            .port(port)
            .tls(how)
            .timeout(Some(target.timeout.0));
        if let (Some(user), Some(password)) = (&email.user, &email.password) {
            let password = self.secret(target, password, "password")?;
            let password = password.expose_secret().to_owned();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(transport.build())
    }
}

/// Everybody who gets it, each once. An owner whose address is none gets nothing.
fn recipients(email: &Email, notice: &Notice) -> Vec<Address> {
    let mut all = BTreeSet::new();
    for written in email.to.written() {
        if written == OWNERS {
            let owners = notice.owners.iter();
            all.extend(owners.filter_map(|owner| owner.email.as_deref()));
        } else {
            all.insert(written);
        }
    }
    let ascii = all.into_iter().filter(|address| address.is_ascii());
    ascii.filter_map(|address| address.parse().ok()).collect()
}

fn compose(from: &Address, to: &[Address], notice: &Notice) -> String {
    let to: Vec<String> = to.iter().map(ToString::to_string).collect();
    let date = notice.at.to_zoned(jiff::tz::TimeZone::UTC);
    let date = rfc2822::to_string(&date).or_else(|_| {
        let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        rfc2822::to_string(&now)
    });
    let mut headers = vec![
        format!("Date: {}", date.unwrap_or_default()),
        format!("From: Cutover <{from}>"),
        format!("To: {}", to.join(",\r\n ")),
        format!("Subject: {}", words(&visible(&notice.title))),
        format!("Message-ID: <{}@{}>", notice.id, from.domain()),
        // RFC 3834: nobody's absence is answered.
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
        "Content-Transfer-Encoding: base64".to_owned(),
    ];
    if let Some(deployment) = &notice.deployment {
        // Mails about one deployment are one conversation.
        headers.push(format!("References: <{deployment}@{}>", from.domain()));
    }
    let mut lines = Vec::new();
    if !notice.text.is_empty() {
        lines.push(visible_lines(&notice.text));
        lines.push(String::new());
    }
    let facts = notice.facts();
    lines.extend(
        facts
            .iter()
            .map(|(name, value)| format!("{name}: {}", visible(value))),
    );
    lines.push(format!("When: {}", notice.at));
    if let Some(url) = &notice.url {
        lines.extend([String::new(), url.clone()]);
    }
    let body = STANDARD.encode(lines.join("\r\n") + "\r\n");
    let body = body.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
    let body: Vec<_> = body.collect();
    format!("{}\r\n\r\n{}\r\n", headers.join("\r\n"), body.join("\r\n"))
}

/// A text of a header: as it is where it is short and plain, else in encoded words of whole characters.
fn words(text: &str) -> String {
    let is_plain = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.len() <= 60 && text.chars().all(is_plain) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for character in text.chars() {
        match words.last_mut() {
            Some(last) if last.len() + character.len_utf8() <= WORD => last.push(character),
            Some(_) | None => words.push(character.to_string()),
        }
    }
    let words = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
    words.collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::{STANDARD, compose, recipients, words};
    use crate::domain::notice::Notice;
    use crate::domain::plan::owner::Owner;
    use base64::Engine;
    use serde_json::json;

    #[test]
    fn a_mail_has_short_lines_and_nothing_of_a_name_ends_a_header() {
        let mut notice = Notice::sample(true);
        notice.environment = "prod\r\nBcc: all@example.com".to_owned();
        notice.reason = Some("ß\n.\n".repeat(99));
        notice.word(
            Some("{{ environment }} ist kaputt – sehr lange Überschrift, die nicht passt"),
            None,
        );
        let address = "a@example.com".parse().expect("an address");
        let mail = compose(&address, &[address.clone(), address.clone()], &notice);
        let (headers, body) = mail.split_once("\r\n\r\n").expect("a body");
        assert!(mail.is_ascii() && !mail.replace("\r\n", "").contains(['\r', '\n']));
        assert!(mail.split("\r\n").all(|line| line.len() <= 76), "{mail}");
        assert!(!headers.contains("\r\nBcc"), "{headers}");
        assert!(headers.contains("Date: Thu, 1 Jan 1970"), "{headers}");
        let text = STANDARD.decode(body.replace("\r\n", "")).expect("base64");
        let text = String::from_utf8(text).expect("a text");
        assert!(
            text.starts_with("ß\r\n.\r\n") || text.starts_with("ß\n.\n"),
            "{text}"
        );
        assert!(text.contains("https://cutover.example.com/"), "{text}");
    }

    #[test]
    fn a_subject_is_plain_where_it_may_be() {
        assert_eq!(words("a release is live"), "a release is live");
        let long = words(&"ü".repeat(50));
        let decoded: Vec<u8> = long
            .split("\r\n ")
            .map(|word| word.strip_prefix("=?utf-8?B?").expect("a word"))
            .flat_map(|word| {
                STANDARD
                    .decode(word.strip_suffix("?=").expect("an end"))
                    .expect("base64")
            })
            .collect();
        assert_eq!(
            String::from_utf8(decoded).as_deref(),
            Ok("ü".repeat(50).as_str())
        );
    }

    #[test]
    fn owners_get_mail_each_once_where_their_address_is_one() {
        let mut notice = Notice::sample(true);
        let of = |email: &str| Owner {
            email: Some(email.to_owned()),
            ..Owner::default()
        };
        notice.owners = ["b@example.com", "nobody", "a@example.com", "ü@example.com"]
            .map(of)
            .into();
        let email = |to: serde_json::Value| {
            let email = json!({"server": "a:1", "from": "c@example.com", "to": to});
            serde_json::from_value(email).expect("a section")
        };
        let got = |to| {
            recipients(&email(to), &notice)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(got(json!("owners")), ["a@example.com", "b@example.com"]);
        assert_eq!(got(json!(["b@example.com"])), ["b@example.com"]);
    }
}
