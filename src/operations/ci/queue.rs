//! One build of a corner at a time, and a line before the door.
//!
//! A build that comes later asks the one under way to end, and takes its place when it has; of several that wait, the
//! last one goes on. A corner that does not stand yet waits until fewer than `ci.max_environments` do. Those who wait
//! are served in the order in which they asked; one that was killed while it waited is not waited for.

use super::error::CiError;
use super::record::Record;
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::Reporter;
use crate::domain::records::corner::{Corner, CornerState, corner_lead};
use crate::operations::ci::namespace::Work;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often it is looked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Which corner is built, and by whom.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The corner's name.
    pub name: &'a str,
    /// The build's id. Ids of later builds order after those of earlier ones.
    pub build: &'a str,
    /// How long it is waited.
    pub wait: Duration,
}

/// Takes the lead of a corner, from whoever builds it now.
///
/// # Errors
/// [`CiError::Superseded`] when a still later build came; [`StoreError::Led`] when it did not end in time.
pub async fn lead(
    store: &Store,
    ask: &Ask<'_>,
    reporter: &Reporter,
    stop: &CancellationToken,
) -> Result<Lead, CiError> {
    let key = corner_lead(ask.environment, ask.name);
    let started = Instant::now();
    let mut is_told = false;
    loop {
        match store.lead(&key).await {
            Ok(lead) => return Ok(lead),
            Err(StoreError::Led { .. }) if started.elapsed() < ask.wait => {}
            Err(error) => return Err(error.into()),
        }
        if !is_told {
            reporter.note("an earlier build of this corner is asked to end".to_owned());
            is_told = true;
        }
        store
            .want_corner(ask.environment, ask.name, ask.build)
            .await?;
        is_latest(store, ask).await?;
        pause(ask.name, stop).await?;
    }
}

/// Ends when a later build wants the corner.
///
/// # Errors
/// [`CiError::Superseded`].
async fn is_latest(store: &Store, ask: &Ask<'_>) -> Result<(), CiError> {
    let corner = store.corner(ask.environment, ask.name).await?;
    let wanted = corner.and_then(|corner| corner.wanted);
    match wanted.is_some_and(|wanted| wanted.as_str() > ask.build) {
        true => Err(CiError::Superseded(ask.name.to_owned())),
        false => Ok(()),
    }
}

/// Returns when a later build wants the corner, or the journal cannot be asked any more.
pub async fn superseded(store: &Store, ask: &Ask<'_>) -> CiError {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = is_latest(store, ask).await {
            return error;
        }
    }
}

async fn pause(name: &str, stop: &CancellationToken) -> Result<(), CiError> {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => Ok(()),
        () = stop.cancelled() => Err(CiError::Interrupted(name.to_owned())),
    }
}

/// The corner as the journal has it, or a new one that is recorded as waiting.
///
/// # Errors
/// The journal's; [`CiError::Record`].
pub async fn corner(
    store: &Store,
    lead: &Lead,
    ask: &Ask<'_>,
    ttl: Duration,
) -> Result<(Corner, Record), CiError> {
    let expires_at = expiry(ttl);
    if let Some(mut corner) = store.corner(ask.environment, ask.name).await? {
        let record = read(&corner)?;
        corner.expires_at = expires_at;
        return Ok((corner, record));
    }
    let now = Timestamp::now();
    let record = Record::default();
    let corner = Corner {
        id: Uuid::now_v7().to_string(),
        environment: ask.environment.to_owned(),
        name: ask.name.to_owned(),
        state: CornerState::Waiting,
        created_at: now,
        updated_at: now,
        expires_at,
        ended_at: None,
        wanted: None,
        document: serde_json::json!(record),
    };
    store.write_corner(lead, &corner).await?;
    Ok((corner, record))
}

/// The document of a corner.
///
/// # Errors
/// [`CiError::Record`].
pub fn read(corner: &Corner) -> Result<Record, CiError> {
    serde_json::from_value(corner.document.clone()).map_err(|source| CiError::Record {
        name: corner.name.clone(),
        source,
    })
}

/// The moment from which on a corner that is built now may be collected.
#[must_use]
pub fn expiry(ttl: Duration) -> Timestamp {
    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_add(ttl).unwrap_or(Timestamp::MAX)
}

/// Waits until there is room for the corner.
///
/// # Errors
/// [`RefusalName::CornerLimit`] when the wait is over, with what stands; [`CiError::Superseded`].
pub async fn room(work: &Work<'_>, ask: &Ask<'_>, most: u32) -> Result<(), CiError> {
    if work.corner.state != CornerState::Waiting {
        return Ok(());
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let started = Instant::now();
    let mut told = None;
    loop {
        let (standing, before) = queue(work.store, &work.corner).await?;
        if standing.len() + before < most {
            return Ok(());
        }
        if started.elapsed() >= ask.wait {
            return Err(Refused(vec![Refusal {
                name: RefusalName::CornerLimit,
                message: format!(
                    "{} corners stand, which is as many as ci.max_environments allows, and {before} others wait",
                    standing.len()
                ),
                objects: standing,
                remedy: "tear one down with `cutover ci teardown --name`, let `cutover ci gc` collect what has expired, or raise ci.max_environments"
                    .to_owned(),
            }])
            .into());
        }
        if told != Some(before) {
            told = Some(before);
            let text = format!("waiting in line, at position {}", before + 1);
            work.reporter.note(text);
        }
        is_latest(work.store, ask).await?;
        pause(ask.name, work.stop).await?;
    }
}

/// The names of the corners that stand, and how many wait before this one.
async fn queue(store: &Store, own: &Corner) -> Result<(Vec<String>, usize), CiError> {
    let (mut standing, mut before, mut is_behind) = (Vec::new(), 0, false);
    for corner in store.corners(&own.environment).await? {
        if corner.id == own.id {
            is_behind = true;
            continue;
        }
        match corner.state {
            CornerState::Building | CornerState::Standing | CornerState::Leaving => {
                standing.push(corner.name);
            }
            CornerState::Waiting if !is_behind => {
                let key = corner_lead(&corner.environment, &corner.name);
                before += usize::from(store.is_led(&key).await?);
            }
            CornerState::Waiting | CornerState::Gone => {}
        }
    }
    Ok((standing, before))
}
