//! What of the catalog a look is about.

use std::collections::BTreeSet;

/// What is looked at, by id or by name. Objects of these schemas, on these clusters and with these ids
/// are seen, and whatever depends on any of them, unless only names are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Names of schemas of the session's database.
    pub schemas: BTreeSet<String>,
    /// Ids of schemas.
    pub schema_ids: BTreeSet<String>,
    /// Names of clusters.
    pub clusters: BTreeSet<String>,
    /// Ids of clusters.
    pub cluster_ids: BTreeSet<String>,
    /// Ids of objects.
    pub objects: BTreeSet<String>,
    /// Names of objects, in whatever schema.
    pub object_names: BTreeSet<String>,
    /// Whether nothing is wanted but what is named itself: not what lies in a schema or runs on a cluster,
    /// and not what depends on it.
    pub names_only: bool,
    /// Whether nobody is to be seen who reads what is named, and nothing that it reads.
    pub without_readers: bool,
    /// Whether columns, comments and replicas are wanted, too.
    pub closely: bool,
    /// Clusters whose definition is wanted, too, by name.
    pub defined: BTreeSet<String>,
    /// Whether pending replacements are wanted, too.
    pub replacements: bool,
    /// Whether the marks on schemas of the session's database are wanted, too.
    pub marks: bool,
}

impl About {
    /// The same, and these objects by id.
    #[must_use]
    pub fn and_objects<'a>(mut self, ids: impl IntoIterator<Item = &'a String>) -> Self {
        self.objects.extend(ids.into_iter().cloned());
        self
    }

    /// The same, with columns, comments and replicas.
    #[must_use]
    pub fn closely(mut self) -> Self {
        self.closely = true;
        self
    }
}
