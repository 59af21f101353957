//! Values that are the same at most nodes, held once.
//!
//! Nearly all nodes of a project have the configuration that dbt gives by default and the `meta` of their
//! folder. Held at each node, these maps are a third of a manifest's memory.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that may be held by many; to its readers it is the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shared<T>(Arc<T>);

impl<T: PartialEq> Shared<T> {
    /// Lets go of the own value where the one before is equal; otherwise the next is compared with this one.
    pub(super) fn share(&mut self, before: &mut Self) {
        if self == before {
            self.0 = Arc::clone(&before.0);
        } else {
            before.0 = Arc::clone(&self.0);
        }
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(self, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}
