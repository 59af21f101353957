//! How the daemon itself behaves.

use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};

/// How the daemon itself behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// How often what is ready and waits to be promoted is looked at again.
    pub recheck_interval: Span,
    /// How often a stand-by tries to lead.
    pub takeover_interval: Span,
    /// How long what is under way may take to reach a journalled boundary when the daemon stops.
    pub stop_timeout: Span,
    /// The longest pause before something that does not answer is tried again.
    pub retry_max: Span,
}
