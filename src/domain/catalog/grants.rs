//! Grants and default privileges as data.

use serde::{Deserialize, Serialize};

/// One privilege that a role holds on a thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// The role's name; `None` is PUBLIC.
    pub grantee: Option<String>,
    /// `SELECT`, `USAGE`, `CREATE`, …
    pub privilege: String,
}

/// One default privilege in a schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DefaultPrivilege {
    /// Objects created by this role; `None` is all roles.
    pub owner: Option<String>,
    /// `table`, `type`, `secret`, `connection`, …
    pub object_type: String,
    /// The role that gets the privilege; `None` is PUBLIC.
    pub grantee: Option<String>,
    /// The privilege.
    pub privilege: String,
}
