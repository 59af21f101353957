//! Values of labels that no other module has a word for.

use crate::foundation::word::words;

words! {
    /// How telling a target ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Delivery {
        /// It took the message.
        Delivered = "delivered",
        /// It did not, and is tried again.
        Failed = "failed",
        /// It did not for a day.
        GivenUp = "given_up",
        /// It did not ask for such messages.
        NotWanted = "not_wanted",
    }
}

words! {
    /// What is removed of deployments that ended long ago.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Waste {
        /// Records.
        Deployments = "deployments",
        /// What went live with them.
        Artifacts = "artifacts",
        /// Their working files.
        Folders = "folders",
        /// Schemas and clusters in Materialize.
        Leftovers = "leftovers",
        /// Corners of pull requests.
        Corners = "corners",
    }
}
