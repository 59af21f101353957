//! Who may ask what: tokens, scopes, environments, and how often.
//!
//! Only hashes of tokens are kept, so that neither a log nor a core dump of this part shows one, and
//! they are compared in a time that says nothing about them.

use super::error::HttpError;
use crate::domain::records::subject::Subject;
use crate::foundation::environment::Environment;
use crate::inputs::settings::http::{Http, Scope};
use crate::interfaces::http::rate_limit::Limiter;
use crate::interfaces::page::Session;
use crate::operations::deployment::promotion::Approver;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The shortest token, in bytes.
const SHORTEST: usize = 16;

/// Who asks, and what is open to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// What the log calls them.
    pub(super) name: Arc<str>,
    scopes: BTreeSet<Scope>,
    /// All when empty.
    environments: BTreeSet<String>,
    /// For those who may approve.
    groups: BTreeSet<String>,
    /// The hash of the token; `None` over the socket.
    pub(super) token: Option<[u8; 32]>,
    /// The session of the page, where they came in by one.
    pub(super) session: Option<Session>,
    /// The id of the Unix user, over the socket.
    user: Option<u32>,
}

impl Caller {
    /// Whoever may open the socket: the system has decided about them.
    pub(super) fn of_socket(user: Option<u32>) -> Self {
        Self {
            name: "socket".into(),
            scopes: Scope::ALL.into(),
            environments: BTreeSet::new(),
            groups: BTreeSet::new(),
            token: None,
            session: None,
            user,
        }
    }

    /// Who they are in the journal.
    pub(super) fn subject(&self) -> Subject {
        match (self.token, self.user) {
            (None, Some(user)) => Subject::user(user),
            (Some(_), _) | (None, None) => Subject::Token {
                name: self.name.to_string(),
            },
        }
    }

    /// Who they are when they approve something.
    pub(super) fn approver(&self) -> Approver {
        match (self.token, self.user) {
            (None, Some(user)) => Approver::user(user),
            (Some(_), _) | (None, None) => {
                let groups = self.groups.iter().cloned().collect();
                let scopes = self.scopes.iter().map(ToString::to_string).collect();
                Approver::new(self.subject(), scopes, groups)
            }
        }
    }

    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    pub(super) fn sees(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }
}

/// What holds for every request until the configuration is read again.
#[derive(Debug)]
pub(super) struct Rules {
    tokens: Vec<([u8; 32], Arc<Caller>)>,
    pub(super) limiter: Limiter,
    pub(super) open_metrics: bool,
    /// Whether the page is served.
    pub(super) page: bool,
    /// Whether its cookie crosses nothing unencrypted: there is TLS, here or in front.
    pub(super) secure_cookie: bool,
    pub(super) body_limit: usize,
    pub(super) timeout: Duration,
}

impl Rules {
    /// Reads the tokens.
    pub(super) fn read(http: &Http, base: &Path) -> Result<Self, HttpError> {
        let environment = Environment::of_process();
        let mut tokens: Vec<([u8; 32], Arc<Caller>)> = Vec::new();
        for token in &http.tokens {
            let key = format!("http.tokens ({})", token.name);
            let secret = token.secret.resolve(&key, base, &environment)?;
            let secret = secret.expose_secret();
            let no = |problem| {
                Err(HttpError::Token {
                    key: key.clone(),
                    problem,
                })
            };
            if secret.len() < SHORTEST {
                return no("the token has fewer than 16 bytes");
            }
            // Others cannot stand in a header.
            if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                return no("the token has blanks or other characters than printable ASCII");
            }
            let hash = hash(secret.as_bytes());
            if tokens.iter().any(|(known, _)| *known == hash) {
                return no("another token is the same");
            }
            let caller = Caller {
                name: token.name.as_str().into(),
                scopes: token.scopes.clone(),
                environments: token.environments.clone(),
                groups: token.groups.clone(),
                token: Some(hash),
                session: None,
                user: None,
            };
            tokens.push((hash, caller.into()));
        }
        Ok(Self {
            tokens,
            limiter: Limiter::new(http.requests_per_second),
            open_metrics: http.open_metrics,
            page: http.page,
            secure_cookie: http.tls.certificate.is_some() || is_https(http.advertise.as_deref()),
            body_limit: usize::try_from(http.body_limit).unwrap_or(usize::MAX),
            timeout: http.request_timeout.0,
        })
    }

    /// Whether the caller's token still is what it was when they came in.
    pub(super) fn keep(&self, caller: &Caller) -> bool {
        let caller = Caller {
            session: None,
            ..caller.clone()
        };
        caller.token.is_none() || self.tokens.iter().any(|(_, known)| **known == caller)
    }

    /// Whether there is a token with this hash.
    pub(super) fn knows(&self, token: &[u8; 32]) -> bool {
        self.tokens.iter().any(|(known, _)| known == token)
    }

    /// Who holds the token with this hash, by a session.
    pub(super) fn holder(&self, token: &[u8; 32], session: Session) -> Option<Arc<Caller>> {
        let (_, caller) = self.tokens.iter().find(|(known, _)| known == token)?;
        let caller = Caller::clone(caller);
        Some(Arc::new(Caller {
            session: Some(session),
            ..caller
        }))
    }

    /// Whose token this is.
    pub(super) fn recognise(&self, token: &[u8]) -> Option<Arc<Caller>> {
        let hash = hash(token);
        // All are compared, so that the time does not say which one it was.
        self.tokens.iter().fold(None, |found, (known, caller)| {
            let is_it = bool::from(known.ct_eq(&hash));
            if is_it {
                Some(Arc::clone(caller))
            } else {
                found
            }
        })
    }
}

fn is_https(url: Option<&str>) -> bool {
    url.is_some_and(|url| url.starts_with("https://"))
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Something that a reload replaces while requests go on with what they took.
#[derive(Debug)]
pub(super) struct Shared<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}
