//! Whether a release may begin, or be swapped in, at a moment; and if not, why not, and until when.
//!
//! The rules:
//! 1. A person's hold stops every beginning and every swap, until it is lifted or its time is over.
//! 2. A freeze stops them too, while one of its windows lies over the moment, unless somebody overrides it for the
//!    release. What overrides a freeze overrides no hold.
//! 3. The hold of a way back (`deploy --to`) stops what begins by itself, and nothing that somebody asks for.
//! 4. Nothing here stops a rollback, an abort, a resume or a cleanup, nor a swap that is under way.

use crate::domain::records::hold::{Frozen, Hold};
use crate::inputs::settings::Freeze;
use crate::inputs::settings::times::windows::Windows;
use jiff::Timestamp;

/// What may be done at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permission {
    hold: Option<Hold>,
    back: Option<Hold>,
    frozen: Option<Frozen>,
}

/// What stops something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A hold.
    Held(Hold),
    /// A freeze.
    Frozen(Frozen),
}

impl Permission {
    /// What may be done at `now`, where these hold and these windows are configured. `is_overridden`: somebody gave a
    /// reason why a freeze does not stop this release.
    #[must_use]
    pub fn at(now: Timestamp, holds: &[Hold], freeze: &[Freeze], is_overridden: bool) -> Self {
        let on = |is_plain: bool| {
            let mut those = holds.iter().filter(|hold| hold.is_plain() == is_plain);
            those.find(|hold| hold.is_on_at(now)).cloned()
        };
        let frozen = match is_overridden {
            true => None,
            false => Windows::of(freeze).at(now),
        };
        Self {
            hold: on(true),
            back: on(false),
            frozen,
        }
    }

    /// What stops a release from beginning; by itself, or because somebody asks for it.
    #[must_use]
    pub fn stops_beginning(&self, by_itself: bool) -> Option<Stop> {
        let back = self.back.clone().filter(|_| by_itself).map(Stop::Held);
        self.stops_swap().or(back)
    }

    /// What stops a swap.
    #[must_use]
    pub fn stops_swap(&self) -> Option<Stop> {
        let hold = self.hold.clone().map(Stop::Held);
        hold.or_else(|| self.frozen.clone().map(Stop::Frozen))
    }

    /// The hold to show: a person's before that of a way back.
    #[must_use]
    pub fn held(&self) -> Option<&Hold> {
        self.hold.as_ref().or(self.back.as_ref())
    }

    /// The freeze to show.
    #[must_use]
    pub fn frozen(&self) -> Option<&Frozen> {
        self.frozen.as_ref()
    }
}

impl Stop {
    /// Until when, where that is known. Something else may stop it then.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Stop::Held(hold) => hold.until,
            Stop::Frozen(frozen) => frozen.until,
        }
    }

    /// What, why, until when and by whom.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Stop::Held(hold) => hold.clause(),
            Stop::Frozen(frozen) => frozen.sentence(),
        }
    }

    /// How to go on all the same.
    #[must_use]
    pub fn remedy(&self, environment: &str) -> String {
        match self {
            Stop::Held(hold) if hold.is_plain() => {
                format!("`cutover release {environment}` lifts the hold")
            }
            Stop::Held(_) => format!("`cutover deploy {environment}` releases on"),
            Stop::Frozen(_) => {
                "wait for the thaw, or give --override-freeze REASON, which is recorded and told"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, Stop};
    use crate::domain::records::hold::Hold;
    use crate::domain::records::subject::Subject;
    use crate::inputs::settings::Freeze;
    use jiff::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn hold(deployment: Option<&str>, until: Option<&str>) -> Hold {
        Hold {
            environment: "prod".to_owned(),
            deployment: deployment.map(str::to_owned),
            reason: "an incident".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            until: until.map(at),
            by: Subject::Cutover,
            cause: deployment.map(str::to_owned),
            lifted_by: None,
            before: None,
        }
    }

    fn weekend() -> Vec<Freeze> {
        serde_yaml::from_str(
            "[{cron: '0 16 * * FRI', length: 64h, zone: Europe/Berlin, reason: weekend},
              {from: 2026-07-06, to: 2026-07-06, zone: Europe/Berlin, reason: stocktaking}]",
        )
        .expect("windows")
    }

    const FREE: &str = "2026-07-01T00:00:00Z";
    const FROZEN: &str = "2026-07-04T00:00:00Z";

    /// What stops a beginning by itself, one that is asked for, and a swap; until when.
    fn stops(
        now: &str,
        holds: &[Hold],
        is_overridden: bool,
    ) -> [Option<(&'static str, Option<Timestamp>)>; 3] {
        let permission = Permission::at(at(now), holds, &weekend(), is_overridden);
        let word = |stop: Stop| {
            let until = stop.until();
            match stop {
                Stop::Held(hold) if hold.is_plain() => ("held", until),
                Stop::Held(_) => ("back", until),
                Stop::Frozen(_) => ("frozen", until),
            }
        };
        [
            permission.stops_beginning(true).map(word),
            permission.stops_beginning(false).map(word),
            permission.stops_swap().map(word),
        ]
    }

    #[test]
    fn without_a_hold_or_a_window_everything_may_be_done() {
        assert_eq!(stops(FREE, &[], false), [None, None, None]);
    }

    #[test]
    fn a_hold_stops_all_of_it_until_its_time_is_over() {
        let open = Some(("held", None));
        assert_eq!(stops(FREE, &[hold(None, None)], false), [open, open, open]);
        let until = hold(None, Some("2026-07-01T00:00:01Z"));
        let held = Some(("held", until.until));
        assert_eq!(
            stops(FREE, std::slice::from_ref(&until), false),
            [held, held, held]
        );
        assert_eq!(
            stops("2026-07-01T00:00:01Z", &[until], false),
            [None, None, None]
        );
        let lifted = hold(None, None).lifted("x");
        assert_eq!(stops(FREE, &[lifted], false), [None, None, None]);
    }

    #[test]
    fn the_hold_of_a_way_back_stops_what_begins_by_itself() {
        let back = Some(("back", None));
        assert_eq!(
            stops(FREE, &[hold(Some("a"), None)], false),
            [back, None, None]
        );
        let both = [hold(Some("a"), None), hold(None, None)];
        let held = Some(("held", None));
        assert_eq!(stops(FREE, &both, false), [held, held, held]);
    }

    #[test]
    fn a_freeze_stops_all_of_it_and_is_overridden_where_no_hold_is() {
        // The second window begins before the first one ends.
        let frozen = Some(("frozen", Some(at("2026-07-06T22:00:00Z"))));
        assert_eq!(stops(FROZEN, &[], false), [frozen, frozen, frozen]);
        assert_eq!(stops(FROZEN, &[], true), [None, None, None]);
        let held = Some(("held", None));
        assert_eq!(stops(FROZEN, &[hold(None, None)], true), [held, held, held]);
        let back = Some(("back", None));
        let holds = [hold(Some("a"), None)];
        assert_eq!(stops(FROZEN, &holds, true), [back, None, None]);
        assert_eq!(stops(FROZEN, &holds, false), [frozen, frozen, frozen]);
    }

    #[test]
    fn what_stops_says_why_until_when_by_whom_and_what_to_do() {
        let permission = |holds: &[Hold]| Permission::at(at(FROZEN), holds, &weekend(), false);
        let stop = permission(&[]).stops_swap().expect("frozen");
        assert_eq!(
            stop.sentence(),
            "frozen until 2026-07-06 22:00:00Z: weekend"
        );
        assert!(stop.remedy("prod").contains("--override-freeze"));
        let held = hold(None, Some("2026-07-05T00:00:00Z"));
        let stop = permission(&[held]).stops_swap().expect("held");
        assert_eq!(
            stop.sentence(),
            "held: an incident, until 2026-07-05 00:00:00Z, by cutover"
        );
        assert!(stop.remedy("prod").contains("cutover release prod"));
    }

    #[test]
    fn windows_that_cannot_be_read_stop_and_say_so() {
        let bad: Vec<Freeze> = serde_yaml::from_str("[{reason: x}]").expect("YAML");
        let permission = Permission::at(at(FREE), &[], &bad, false);
        let stop = permission.stops_swap().expect("frozen");
        assert!(
            stop.sentence().contains("cannot be read"),
            "{}",
            stop.sentence()
        );
    }
}
