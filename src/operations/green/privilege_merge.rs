//! What an object of green is to have of owner, grants and comments. Pure.
//!
//! Three things are compared: what this release's own hooks gave it, what those of the release before had given
//! its counterpart, and what the counterpart has in production. What the release changed wins; what people changed
//! in production stays. Where both changed the same thing, the release wins and says so.

use crate::adapters::artifacts::Given;
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::{Object, ObjectKind};
use crate::domain::plan::{LiveObject, Plan, PlannedNode};
use std::collections::{BTreeMap, BTreeSet};

/// What an object is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) owner: String,
    /// Without what the owner has by itself.
    pub(crate) grants: Vec<Grant>,
    pub(crate) comment: Option<String>,
    /// By column.
    pub(crate) column_comments: BTreeMap<String, String>,
    /// What both the release and people changed, a sentence each.
    pub(crate) clashes: Vec<String>,
}

/// What an object that `role` built has of itself: its default privileges.
fn by_itself(plan: &Plan, schema: &str, kind: ObjectKind, role: &str) -> BTreeSet<Grant> {
    let of_type = match kind {
        ObjectKind::Table
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Source => "table",
        ObjectKind::Connection => "connection",
        ObjectKind::Secret => "secret",
        ObjectKind::Type => "type",
        ObjectKind::Index | ObjectKind::Sink | ObjectKind::Function => return BTreeSet::new(),
    };
    let schemas = plan.schemas.iter().filter(|swap| swap.name == schema);
    let of_schema = schemas.flat_map(|swap| &swap.default_privileges);
    let applies = |privilege: &&DefaultPrivilege| {
        privilege.object_type.eq_ignore_ascii_case(of_type)
            && privilege.owner.as_deref().is_none_or(|owner| owner == role)
            && privilege.grantee.as_deref() != Some(role)
    };
    of_schema
        .chain(&plan.default_privileges)
        .filter(applies)
        .map(|privilege| Grant {
            grantee: privilege.grantee.clone(),
            privilege: privilege.privilege.clone(),
        })
        .collect()
}

/// What hooks gave an object that `role` built, seen before anything else was given to it. Without hooks that is
/// nothing.
pub(crate) fn given(
    plan: &Plan,
    schema: &str,
    node: Option<&PlannedNode>,
    object: &Object,
    role: &str,
) -> Given {
    if plan.hooked.is_empty() {
        return Given::default();
    }
    let itself = by_itself(plan, schema, object.kind, role);
    let has: BTreeSet<Grant> = object.grants.iter().cloned().collect();
    let columns = object.column_comments.iter().cloned();
    Given {
        owner: (object.owner != role).then(|| object.owner.clone()),
        grants: has.difference(&itself).cloned().collect(),
        revoked: itself.difference(&has).cloned().collect(),
        comment: object
            .comment
            .clone()
            .filter(|_| node.is_none_or(|node| !node.persists_relation_comment)),
        column_comments: columns
            .filter(|_| node.is_none_or(|node| !node.persists_column_comments))
            .collect(),
    }
}

/// What an object is to have that hooks gave `given`, whose counterpart in production is `blue`. `before` is what
/// the release before had given that; `None` where it is not on record. `role` built the object.
pub(crate) fn merged(
    called: &str,
    given: &Given,
    before: Option<&Given>,
    blue: &LiveObject,
    role: &str,
) -> Wanted {
    let mut clashes = Vec::new();
    let owner = owner(called, given, before, blue, role, &mut clashes);
    let comment = text(
        (&format!("the comment on {called}"), &given.comment),
        before.map(|before| &before.comment),
        &blue.comment,
        &mut clashes,
    );
    let blue_columns: BTreeMap<&String, &String> = blue
        .column_comments
        .iter()
        .map(|(column, text)| (column, text))
        .collect();
    let columns: BTreeSet<&String> = given
        .column_comments
        .keys()
        .chain(blue_columns.keys().copied())
        .collect();
    let mut column_comments = BTreeMap::new();
    for column in columns {
        let what = format!("the comment on {called}.{column}");
        let before = before.map(|before| before.column_comments.get(column).cloned());
        let wanted = text(
            (&what, &given.column_comments.get(column).cloned()),
            before.as_ref(),
            &blue_columns.get(column).map(|text| (*text).clone()),
            &mut clashes,
        );
        if let Some(wanted) = wanted {
            column_comments.insert(column.clone(), wanted);
        }
    }
    Wanted {
        grants: grants(given, before, blue, &owner),
        owner,
        comment,
        column_comments,
        clashes,
    }
}

fn owner(
    called: &str,
    given: &Given,
    before: Option<&Given>,
    blue: &LiveObject,
    role: &str,
    clashes: &mut Vec<String>,
) -> String {
    let gave = before.and_then(|before| before.owner.as_ref());
    match &given.owner {
        Some(owner) if gave == Some(owner) => blue.owner.clone(),
        Some(owner) => {
            if ![owner.as_str(), role].contains(&blue.owner.as_str()) && gave != Some(&blue.owner) {
                clashes.push(format!(
                    "the owner of {called}: {owner} by the release's hooks, {} in production",
                    blue.owner
                ));
            }
            owner.clone()
        }
        // The hook that gave it is gone.
        None if gave == Some(&blue.owner) => role.to_owned(),
        None => blue.owner.clone(),
    }
}

fn grants(given: &Given, before: Option<&Given>, blue: &LiveObject, owner: &str) -> Vec<Grant> {
    let gave = |grant: &Grant| before.is_some_and(|before| before.grants.contains(grant));
    let took = |grant: &Grant| before.is_some_and(|before| before.revoked.contains(grant));
    let hooks = given
        .grants
        .iter()
        // What the release before gave as well, and production has no more, people took away.
        .filter(|grant| blue.grants.contains(grant) || !gave(grant));
    let people = blue
        .grants
        .iter()
        .filter(|grant| !given.grants.contains(grant))
        // What a hook gave goes with the hook.
        .filter(|grant| !gave(grant))
        .filter(|grant| !given.revoked.contains(grant) || took(grant));
    let all: BTreeSet<Grant> = hooks
        .chain(people)
        .filter(|grant| grant.grantee.as_deref() != Some(owner))
        .cloned()
        .collect();
    all.into_iter().collect()
}

/// A comment. `before` is `None` where it is not on record what the release before gave.
fn text(
    (what, given): (&str, &Option<String>),
    before: Option<&Option<String>>,
    blue: &Option<String>,
    clashes: &mut Vec<String>,
) -> Option<String> {
    let gave = before.and_then(Option::as_ref);
    match given {
        Some(_) if gave == given.as_ref() => blue.clone(),
        Some(text) => {
            if blue.is_some() && blue != given && blue.as_ref() != gave {
                clashes.push(format!(
                    "{what}: one by the release's hooks, another in production"
                ));
            }
            Some(text.clone())
        }
        None if blue.is_some() && blue.as_ref() == gave => None,
        None => blue.clone(),
    }
}

#[cfg(test)]
mod tests;
