//! What a server says about hydration, lag and replicas at one moment, as data. Nothing is judged here; a missing
//! row stays missing.

use std::collections::{BTreeMap, BTreeSet};

/// What the server says about some objects and clusters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The server's clock, milliseconds since the epoch.
    pub now_ms: i64,
    /// Those of the objects that exist.
    pub existing: BTreeSet<String>,
    /// Per object, per replica id: hydrated. An object on a cluster without replicas has no entry.
    pub hydrated: BTreeMap<String, BTreeMap<String, bool>>,
    /// Per object: lag behind its sources in milliseconds; `None` while it cannot be read.
    pub lag_ms: BTreeMap<String, Option<i64>>,
    /// Per object: write frontier in milliseconds; `None` when the object is complete.
    pub frontier_ms: BTreeMap<String, Option<i64>>,
    /// Per object: the latest known official lag in milliseconds and when it was sampled
    /// (milliseconds since the epoch).
    pub wallclock_ms: BTreeMap<String, (i64, i64)>,
    /// Replicas per cluster id.
    pub replicas: BTreeMap<String, Vec<ReplicaHealth>>,
}

/// The state of one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaHealth {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it has the size that its cluster was given; others are temporary.
    pub own_size: bool,
    /// Whether all its processes are online; `None` when no process has reported.
    pub online: Option<bool>,
    /// Out-of-memory kills in the last 24 hours.
    pub oom_kills: i64,
}
