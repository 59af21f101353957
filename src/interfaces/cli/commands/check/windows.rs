//! When nothing is released: what holds and freezes the environment, and the next windows.

use super::Findings;
use crate::adapters::store::Store;
use crate::foundation::span::moment;
use crate::inputs::settings::times::windows::Windows;
use crate::operations::deployment::hold;
use crate::operations::release::{Release, ReleaseError};
use jiff::Timestamp;

/// How many windows are named.
const NAMED: usize = 3;

pub(super) async fn told(
    release: &Release,
    store: &Store,
    findings: &mut Findings,
) -> Result<(), ReleaseError> {
    for held in hold::held(store, &release.environment).await? {
        findings.note("hold", held.sentence());
    }
    let freeze = &release.settings.freeze;
    if freeze.is_empty() {
        return Ok(());
    }
    let (windows, now) = (Windows::of(freeze), Timestamp::now());
    if let Some(frozen) = windows.at(now) {
        findings.note("freeze", frozen.sentence());
    }
    let next: Vec<String> = windows
        .next(now)
        .into_iter()
        .take(NAMED)
        .map(|(from, frozen)| match frozen.until {
            Some(until) => format!("{} to {} ({})", moment(from), moment(until), frozen.reason),
            None => format!("from {} on ({})", moment(from), frozen.reason),
        })
        .collect();
    findings.ok(
        "freeze",
        match next.is_empty() {
            true => "no window comes any more".to_owned(),
            false => format!("next: {}", next.join(", ")),
        },
    );
    Ok(())
}
