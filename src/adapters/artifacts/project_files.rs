//! The files of a compiled project that a deployment made live, beside what says that it did. One object each in the
//! deployment's own folder, so that they go with it: `project-<path>`, percent-encoded.

use super::{ArtifactError, Artifacts, Key};
use crate::domain::location::url;

impl Artifacts {
    /// Keeps one file, unless one of its name is kept already, and gives what is kept.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn keep_project_file(
        &self,
        key: &Key,
        id: &str,
        path: &str,
        bytes: &[u8],
    ) -> Result<Vec<u8>, ArtifactError> {
        let object = self.object_named(key, id, &name(path));
        self.put_once(&object, bytes, |_| true).await
    }

    /// One of these files, where it is kept.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn project_file(
        &self,
        key: &Key,
        id: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, ArtifactError> {
        self.get(&self.object_named(key, id, &name(path))).await
    }
}

fn name(path: &str) -> String {
    format!("project-{}", url::segment(path))
}
