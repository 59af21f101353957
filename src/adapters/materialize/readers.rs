//! Who reads what goes: SUBSCRIBEs, which go on through a swap, on the old objects, and end when these go. A plain
//! DROP does not refuse because of them.

use super::catalog::{optional, text};
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::server::Materialize;
use std::collections::{BTreeMap, BTreeSet};

const SUBSCRIPTIONS: &str = "subscriptions";
const SESSIONS: &str = "sessions";
const ROLES: &str = "roles of sessions";

/// One SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscription {
    /// The role of its session, where the session is listed still.
    pub role: Option<String>,
    /// Where its client is, where that is known.
    pub client: Option<String>,
    /// Since when, as the server shows it.
    pub since: String,
    /// The objects that it reads, ids.
    pub reads: BTreeSet<String>,
    /// The cluster that it runs on, its id.
    pub cluster: String,
}

impl Subscription {
    /// For people; `names` are those of objects, by id.
    #[must_use]
    pub fn sentence(&self, names: &BTreeMap<String, String>) -> String {
        let who = self.role.as_deref().unwrap_or("somebody");
        let from = match &self.client {
            Some(client) => format!(" from {client}"),
            None => String::new(),
        };
        let reads: Vec<&str> = self
            .reads
            .iter()
            .filter_map(|id| names.get(id))
            .map(String::as_str)
            .collect();
        let of = match reads.is_empty() {
            true => String::new(),
            false => format!(" to {}", reads.join(", ")),
        };
        // Fractions of seconds and the zone, which is the session's, say nothing to people.
        let since = self.since.get(..19).unwrap_or(&self.since);
        format!("a subscription of {who}{from}{of} since {since}")
    }
}

fn subscriptions() -> Vec<Question> {
    let columns = [
        "session_id",
        "cluster_id",
        "created_at",
        "referenced_object_ids",
    ];
    let relation = relation::SUBSCRIPTIONS;
    Question::select(SUBSCRIPTIONS, relation, &columns, Filter::All, None)
}

fn sessions(ids: &[&str]) -> Vec<Question> {
    let columns = ["id", "role_id", "client_ip"];
    let relation = relation::SESSIONS;
    Question::select(SESSIONS, relation, &columns, Filter::In("id", ids), None)
}

fn roles(ids: &[&str]) -> Vec<Question> {
    let columns = ["id", "name"];
    Question::select(
        ROLES,
        relation::ROLES,
        &columns,
        Filter::In("id", ids),
        None,
    )
}

/// The subscriptions on these clusters or to these objects, sorted. One dataflow over a small relation, and two peeks
/// where there are any; asked once while planning, and with each look before the old side goes, where that waits.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn of(
    materialize: &Materialize,
    clusters: &BTreeSet<String>,
    objects: &BTreeSet<String>,
) -> Result<Vec<Subscription>, MaterializeError> {
    let session = materialize.session().await?;
    let mut found = Vec::new();
    for row in &session.ask(&subscriptions()).await? {
        let cluster = text(row, SUBSCRIPTIONS, 1)?;
        let listed = optional(row, SUBSCRIPTIONS, 3)?.unwrap_or_default();
        let reads: BTreeSet<String> = listed
            .trim_matches(['{', '}'])
            .split(',')
            .map(|id| id.trim_matches('"').to_owned())
            .filter(|id| !id.is_empty())
            .collect();
        if clusters.contains(&cluster) || !reads.is_disjoint(objects) {
            let at = optional(row, SUBSCRIPTIONS, 0)?;
            let subscription = Subscription {
                role: None,
                client: None,
                since: text(row, SUBSCRIPTIONS, 2)?,
                reads,
                cluster,
            };
            found.push((at, subscription));
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = found.iter().filter_map(|(at, _)| at.as_deref()).collect();
    let mut clients = BTreeMap::new();
    for row in &session.ask(&sessions(&ids)).await? {
        let client = (text(row, SESSIONS, 1)?, optional(row, SESSIONS, 2)?);
        clients.insert(text(row, SESSIONS, 0)?, client);
    }
    let ids: BTreeSet<&str> = clients.values().map(|(role, _)| role.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut names = BTreeMap::new();
    for row in &session.ask(&roles(&ids)).await? {
        names.insert(text(row, ROLES, 0)?, text(row, ROLES, 1)?);
    }
    let mut subscriptions: Vec<Subscription> = found
        .into_iter()
        .map(|(at, subscription)| {
            let client = at.and_then(|at| clients.get(&at));
            Subscription {
                role: client.map(|(role, _)| names.get(role).unwrap_or(role).clone()),
                client: client.and_then(|(_, client)| client.clone()),
                ..subscription
            }
        })
        .collect();
    subscriptions.sort();
    Ok(subscriptions)
}

/// Every question of a look, for tests of what they cost.
#[cfg(test)]
pub(super) fn every_question() -> Vec<Question> {
    let some = &["u1", "u2"][..];
    [subscriptions(), sessions(some), roles(some)].concat()
}

#[cfg(test)]
mod tests {
    use super::Subscription;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_subscription_is_said_as_far_as_it_is_known() {
        let one = Subscription {
            role: Some("bob".to_owned()),
            client: Some("10.0.0.1".to_owned()),
            since: "2026-01-01 10:00:00.123+00".to_owned(),
            reads: BTreeSet::from(["u1".to_owned(), "u9".to_owned()]),
            cluster: "u3".to_owned(),
        };
        let names = BTreeMap::from([("u1".to_owned(), "marts.totals".to_owned())]);
        assert_eq!(
            one.sentence(&names),
            "a subscription of bob from 10.0.0.1 to marts.totals since 2026-01-01 10:00:00"
        );
        let unknown = Subscription {
            role: None,
            client: None,
            ..one
        };
        assert_eq!(
            unknown.sentence(&BTreeMap::new()),
            "a subscription of somebody since 2026-01-01 10:00:00"
        );
    }
}
