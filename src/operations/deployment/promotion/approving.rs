//! Approving what is ready.

use super::look;
use crate::adapters::store::{Approving, Store, StoreError};
use crate::domain::lifecycle::state::State;
use crate::domain::promotion::{Rights, SCOPES};
use crate::domain::records::approval::{is_asker, person};
use crate::domain::records::deployment::Deployment;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::{Class, Classify};
use nix::unistd::{Group, Uid, User, getgrouplist};
use std::ffi::CString;

/// Who approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// For the record.
    pub subject: Subject,
    /// What they may.
    pub rights: Rights,
}

impl Approver {
    /// The Unix user that this process runs as.
    #[must_use]
    pub fn of_process() -> Self {
        Self::user(nix::unistd::geteuid().as_raw())
    }

    /// A Unix user of this machine, whom the system has let through: every scope, and the groups of the system.
    #[must_use]
    pub fn user(id: u32) -> Self {
        let groups = groups(Uid::from_raw(id));
        let scopes = SCOPES.map(str::to_owned).into();
        Self::new(Subject::user(id), scopes, groups.unwrap_or_default())
    }

    /// Somebody with these scopes, as words, and groups.
    #[must_use]
    pub fn new(subject: Subject, scopes: Vec<String>, groups: Vec<String>) -> Self {
        Self {
            rights: Rights {
                name: person(&subject).unwrap_or_default().to_owned(),
                scopes,
                groups,
            },
            subject,
        }
    }
}

/// The names of the groups of a user, as far as the system knows them.
fn groups(id: Uid) -> Option<Vec<String>> {
    let user = User::from_uid(id).ok().flatten()?;
    let name = CString::new(user.name).ok()?;
    let ids = getgrouplist(&name, user.gid).ok()?;
    let names = ids
        .into_iter()
        .filter_map(|id| Group::from_gid(id).ok().flatten());
    Some(names.map(|group| group.name).collect())
}

/// Why something is not approved.
#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    /// It may not be, for this reason.
    #[error("cannot approve: {0}")]
    Refused(String),
    /// The journal does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Classify for NotApproved {
    fn class(&self) -> Class {
        match self {
            Self::Refused(_) => Class::Refused,
            Self::Store(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(_) => {
                Some("`cutover status` shows what it waits for, and who approved it".to_owned())
            }
            Self::Store(error) => error.hint(),
        }
    }
}

/// Approves a deployment that is ready, or only says what that would do. Gives what follows, one sentence without a
/// final full stop.
///
/// # Errors
/// Why it may not be approved, or not by this one; the journal's.
pub async fn approve(
    store: &Store,
    deployment: &Deployment,
    approver: &Approver,
    is_dry: bool,
) -> Result<String, NotApproved> {
    let no = |why: String| Err(NotApproved::Refused(why));
    let approvals = &deployment.request.conditions.approvals;
    if approvals.count == 0 {
        return no("nobody need approve this deployment (approvals.count is 0)".to_owned());
    }
    if deployment.state != State::Ready {
        return no(format!("the deployment is {}, not ready", deployment.state));
    }
    let by = &approver.subject;
    let Some(person) = person(by) else {
        return no(format!("{by} is no person"));
    };
    if let Some(asker) = &deployment.by
        && is_asker(asker, person)
    {
        return no(format!(
            "the release was asked for by {asker}, and somebody else must approve it"
        ));
    }
    if !approvals.admit(&approver.rights) {
        return no(format!(
            "{by} is not among those who may: {}",
            approvals.who()
        ));
    }
    let Some(before) = look(store, deployment, false).await? else {
        return no("the deployment is not ready any more".to_owned());
    };
    let is_again = |known: &Subject| {
        crate::domain::records::approval::person(known)
            .is_some_and(|known| known.eq_ignore_ascii_case(person))
    };
    let again = format!("{person} has approved it already");
    if before
        .standing
        .approvals
        .iter()
        .any(|one| is_again(&one.by))
    {
        return no(again);
    }
    let given = before.standing.approvals.len() + 1;
    let what = format!("approve the deployment {} as {by}", deployment.id);
    let so_many = format!("{given} of {} approvals", approvals.count);
    if is_dry {
        return Ok(format!("{what}: {so_many}"));
    }
    let recipe = deployment.plan.building.recipe.as_deref();
    match store.approve(&deployment.id, by, recipe).await? {
        Approving::Recorded => {}
        Approving::Again => return no(again),
        Approving::NotReady => {
            return no("the deployment is not ready any more".to_owned());
        }
    }
    let follows = match look(store, deployment, false).await? {
        Some(look) if !look.standing.waits_for.is_empty() => {
            format!("; it waits for {}", look.standing.waits_for.join(" and "))
        }
        Some(_) | None => "; it is promoted".to_owned(),
    };
    Ok(format!("{what}: {so_many}{follows}"))
}
