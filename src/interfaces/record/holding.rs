//! What `hold` and `release` print.

use crate::domain::records::hold::Hold;
use serde::Serialize;

/// `hold` and `release`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoldView {
    /// Where.
    pub environment: String,
    /// What holds it now; `None`: nothing does.
    pub held: Option<Hold>,
    /// What was lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Hold>,
}
