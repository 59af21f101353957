//! Values of labels that no other module has a word for.

/// How telling a target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It took the message.
    Delivered,
    /// It did not, and is tried again.
    Failed,
    /// It did not for a day.
    GivenUp,
    /// It did not ask for such messages.
    NotWanted,
}

impl Delivery {
    pub(super) const ALL: [Delivery; 4] = [
        Delivery::Delivered,
        Delivery::Failed,
        Delivery::GivenUp,
        Delivery::NotWanted,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Delivery::Delivered => "delivered",
            Delivery::Failed => "failed",
            Delivery::GivenUp => "given_up",
            Delivery::NotWanted => "not_wanted",
        }
    }
}

/// What is removed of deployments that ended long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waste {
    /// Records.
    Deployments,
    /// What went live with them.
    Artifacts,
    /// Their working files.
    Folders,
    /// Schemas and clusters in Materialize.
    Leftovers,
    /// Corners of pull requests.
    Corners,
}

impl Waste {
    pub(super) const ALL: [Waste; 5] = [
        Waste::Deployments,
        Waste::Artifacts,
        Waste::Folders,
        Waste::Leftovers,
        Waste::Corners,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Waste::Deployments => "deployments",
            Waste::Artifacts => "artifacts",
            Waste::Folders => "folders",
            Waste::Leftovers => "leftovers",
            Waste::Corners => "corners",
        }
    }
}
