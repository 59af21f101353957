//! Who is logged in: hashes of random ids, each with the hash of the token that was entered.

use crate::foundation::tls;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a session lasts, however much it is used.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// The most sessions of one token; a further one ends the oldest.
const OF_ONE_TOKEN: usize = 64;

/// The most sessions in all.
const IN_ALL: usize = 4096;

/// The hash of a session's id.
pub(crate) type Session = [u8; 32];

/// Sessions. Only hashes are kept, so that no core dump shows an id that could be used.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Session, Held>>);

#[derive(Debug, Clone, Copy)]
struct Held {
    token: [u8; 32],
    began: Instant,
}

impl Sessions {
    /// Begins a session for the holder of a token, and gives its id. `None` when the system has no
    /// randomness.
    pub(crate) fn begin(&self, token: [u8; 32], now: Instant) -> Option<String> {
        let mut id = [0; 32];
        tls::provider().secure_random.fill(&mut id).ok()?;
        let id = hex::encode(id);
        let mut held = self.held();
        held.retain(|_, session| is_current(session, now));
        let of_token = held
            .values()
            .filter(|session| session.token == token)
            .count();
        if of_token >= OF_ONE_TOKEN {
            forget_oldest(&mut held, |session| session.token == token);
        } else if held.len() >= IN_ALL {
            forget_oldest(&mut held, |_| true);
        }
        held.insert(hash(&id), Held { token, began: now });
        Some(id)
    }

    /// The session with this id and the hash of its token, while it lasts.
    pub(crate) fn find(&self, id: &str, now: Instant) -> Option<(Session, [u8; 32])> {
        let key = hash(id);
        let held = self.held();
        let session = held.get(&key).filter(|session| is_current(session, now))?;
        Some((key, session.token))
    }

    /// Whether a session has not ended.
    pub(crate) fn lasts(&self, session: &Session, now: Instant) -> bool {
        self.held()
            .get(session)
            .is_some_and(|session| is_current(session, now))
    }

    /// Ends a session.
    pub(crate) fn end(&self, session: &Session) {
        self.held().remove(session);
    }

    /// Ends the sessions of tokens that are not there any more.
    pub(crate) fn keep(&self, is_there: impl Fn(&[u8; 32]) -> bool) {
        self.held().retain(|_, session| is_there(&session.token));
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Session, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_current(session: &Held, now: Instant) -> bool {
    now.saturating_duration_since(session.began) < LASTS
}

fn forget_oldest(held: &mut HashMap<Session, Held>, among: impl Fn(&Held) -> bool) {
    let those = held.iter().filter(|(_, session)| among(session));
    let oldest = those
        .min_by_key(|(_, session)| session.began)
        .map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        held.remove(&oldest);
    }
}

/// An id is long and random; looking its hash up tells nothing by the time it takes.
fn hash(id: &str) -> Session {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{IN_ALL, LASTS, OF_ONE_TOKEN, Sessions};
    use std::time::{Duration, Instant};

    fn token(number: usize) -> [u8; 32] {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&number.to_le_bytes());
        token
    }

    #[test]
    fn a_session_ends_by_time_by_its_holder_and_with_its_token() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let begin = |number| sessions.begin(token(number), now).expect("an id");
        let (first, second, third) = (begin(1), begin(1), begin(2));
        assert!(first != second && first.len() == 64);
        let (key, of) = sessions.find(&first, now).expect("a session");
        assert_eq!(of, token(1));
        assert!(sessions.find("", now).is_none() && sessions.find(&first[1..], now).is_none());
        let late = now + LASTS;
        assert!(
            sessions
                .find(&first, late - Duration::from_secs(1))
                .is_some()
        );
        assert!(sessions.find(&first, late).is_none() && !sessions.lasts(&key, late));
        sessions.end(&key);
        assert!(sessions.find(&first, now).is_none());
        sessions.keep(|of| *of == token(2));
        assert!(sessions.find(&second, now).is_none());
        assert!(sessions.find(&third, now).is_some());
    }

    #[test]
    fn there_are_never_too_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |number: usize| now + Duration::from_millis(number as u64);
        let other = sessions.begin(token(0), now).expect("an id");
        let mut last = String::new();
        for number in 0..2 * OF_ONE_TOKEN {
            last = sessions.begin(token(1), at(number)).expect("an id");
        }
        assert_eq!(sessions.held().len(), OF_ONE_TOKEN + 1);
        // Who logs in again and again ends no session of others.
        assert!(sessions.find(&other, now).is_some() && sessions.find(&last, now).is_some());
        for number in 0..IN_ALL + 100 {
            sessions.begin(token(number), at(number)).expect("an id");
        }
        assert_eq!(sessions.held().len(), IN_ALL);
    }
}
