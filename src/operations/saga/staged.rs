//! What is made for a deployment under secret names.

use crate::domain::plan::Plan;
use crate::operations::saga::identity::SecretNames;
use serde::{Deserialize, Serialize};

/// What kind of thing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Schema,
    Cluster,
}

/// One thing to make: under which secret name, and which name it gets in the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) what: What,
    /// The production name that it belongs to.
    pub(crate) of: String,
    pub(crate) secret: String,
    /// The name at the end of staging.
    pub(crate) becomes: String,
    /// Whether it is the production side, created because it was missing.
    pub(crate) bootstrapped: bool,
}

pub(crate) fn items(plan: &Plan, secret: &SecretNames) -> Vec<Item> {
    let mut items = Vec::new();
    let schemas = plan
        .schemas
        .iter()
        .map(|s| (What::Schema, &s.name, &s.green, s.id.is_none()));
    let clusters = plan
        .clusters
        .iter()
        .map(|c| (What::Cluster, &c.name, &c.green, c.id.is_none()));
    for (index, (what, name, green, missing)) in schemas.chain(clusters).enumerate() {
        items.push(Item {
            what,
            of: name.clone(),
            secret: secret.hidden("green", index),
            becomes: green.clone(),
            bootstrapped: false,
        });
        if missing {
            items.push(Item {
                what,
                of: name.clone(),
                secret: secret.hidden("first", index),
                becomes: name.clone(),
                bootstrapped: true,
            });
        }
    }
    items
}

/// The secret name of the n-th index of the plan while both sides exist.
pub(crate) fn index_name(secret: &SecretNames, number: usize) -> String {
    secret.hidden("index", number)
}
