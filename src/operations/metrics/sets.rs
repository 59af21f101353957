//! Sets of labels, and how each is made.

use super::family::Labelled;
use super::labels::{Delivery, Waste};
use crate::domain::lifecycle::state::Asker;
use crate::domain::progress::Health;
use crate::foundation::failure::Class;
use prometheus_client::encoding::EncodeLabelSet;

/// Label sets, each with its environment first where it has one.
macro_rules! labels {
    ($($name:ident { $($label:ident: $type:ty),* })*) => {
        $(
            #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
            pub(super) struct $name { pub(super) environment: String, $(pub(super) $label: $type),* }
            impl Labelled for $name {
                fn environment(&self) -> &str { &self.environment }
            }
        )*
    };
}

labels! {
    Of {}
    Ended { outcome: &'static str }
    Undone { cause: &'static str }
    Watched { found: &'static str }
    Entered { state: &'static str }
    Phase { phase: &'static str }
    Waited { cluster: String }
    Repeated { reason: &'static str }
    Removed { what: &'static str }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Notified {
    pub(super) target: String,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Answered {
    pub(super) route: &'static str,
    pub(super) method: &'static str,
    pub(super) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Timed {
    pub(super) route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Version {
    pub(super) version: &'static str,
}

pub(super) fn of(environment: &str) -> Of {
    Of {
        environment: environment.to_owned(),
    }
}

pub(super) fn ended(environment: &str, outcome: &'static str) -> Ended {
    Ended {
        environment: environment.to_owned(),
        outcome,
    }
}

pub(super) fn undone(environment: &str, cause: Option<Asker>) -> Undone {
    Undone {
        environment: environment.to_owned(),
        cause: cause.map_or("unknown", Asker::as_str),
    }
}

pub(super) fn watched(environment: &str, found: Health) -> Watched {
    Watched {
        environment: environment.to_owned(),
        found: found.as_str(),
    }
}

pub(super) fn repeated(environment: &str, reason: Class) -> Repeated {
    Repeated {
        environment: environment.to_owned(),
        reason: reason.as_str(),
    }
}

pub(super) fn removed(environment: &str, what: Waste) -> Removed {
    Removed {
        environment: environment.to_owned(),
        what: what.as_str(),
    }
}

pub(super) fn told(target: &str, delivery: Delivery) -> Notified {
    Notified {
        target: target.to_owned(),
        outcome: delivery.as_str(),
    }
}
