//! Where a daemon answers.

use super::ClientError;
use reqwest::Url;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a daemon answers: `http(s)://HOST[:PORT]`, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A URL.
    Url(Url),
    /// A Unix socket.
    Socket(PathBuf),
}

impl Address {
    /// Whether nobody between reads what is sent: TLS, or this machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Url(url) => url.scheme() == "https" || self.is_loopback(),
        }
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let Self::Url(url) = self else { return true };
        url.host_str().is_some_and(|host| {
            let host = host.strip_prefix("[").unwrap_or(host);
            let host = host.strip_suffix(']').unwrap_or(host);
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        })
    }
}

impl Address {
    /// The addresses of a daemon as its lead tells them: words between spaces. A socket's path may
    /// have spaces itself. What cannot be read is left out.
    #[must_use]
    pub fn several(text: &str) -> Vec<Self> {
        let mut words: Vec<String> = Vec::new();
        for word in text.split(' ') {
            let begins = ["unix:", "http://", "https://"]
                .iter()
                .any(|scheme| word.starts_with(scheme));
            match words.last_mut() {
                Some(last) if !begins => {
                    last.push(' ');
                    last.push_str(word);
                }
                Some(_) | None => words.push(word.to_owned()),
            }
        }
        words
            .iter()
            .filter_map(|word| word.trim().parse().ok())
            .collect()
    }
}

impl FromStr for Address {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let no = |problem: &str| ClientError::Address {
            problem: problem.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///path` is what URLs would have.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('\0') {
                return Err(no("after unix: stands the path of a socket"));
            }
            return Ok(Self::Socket(PathBuf::from(path)));
        }
        let url = Url::parse(text).map_err(|error| no(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(no("it is neither http(s)://HOST:PORT nor unix:PATH"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(no("a token belongs into CUTOVER_TOKEN, not into the URL"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(no("a URL of a daemon has neither ? nor #"));
        }
        Ok(Self::Url(url))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url.as_str()),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;
    use std::path::PathBuf;

    #[test]
    fn a_lead_tells_several() {
        let told = |text| -> Vec<String> {
            let several = Address::several(text).into_iter();
            several.map(|address| address.to_string()).collect()
        };
        assert_eq!(
            told("unix:/a b/c http://h:1"),
            ["unix:/a b/c", "http://h:1/"]
        );
        assert_eq!(told("https://h"), ["https://h/"]);
        assert!(told("").is_empty() && told("elsewhere ftp://h").is_empty());
    }

    #[test]
    fn an_address_is_a_url_or_a_socket() {
        let parse = |text: &str| text.parse::<Address>();
        for text in ["unix:/a/b", "unix:///a/b"] {
            let socket = parse(text).expect("an address");
            assert_eq!(socket, Address::Socket(PathBuf::from("/a/b")));
            assert!(socket.is_loopback());
        }
        for (text, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1:1", true),
            ("https://[::1]:1/base", true),
            ("https://cutover.example", false),
            ("http://cutover.example", false),
        ] {
            let is_private = text != "http://cutover.example";
            assert_eq!(parse(text).expect(text).is_private(), is_private, "{text}");
            assert_eq!(parse(text).expect(text).is_loopback(), local, "{text}");
        }
        for text in [
            "",
            "localhost:1",
            "unix:",
            "ftp://a",
            "http://",
            "http://me:pw@a",
            "http://a?b",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }
}
