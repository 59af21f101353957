//! Whether a verified candidate is promoted now, waits, or ends. In this order:
//!
//! 1. A gate that says no ends the release, and so does one whose time is over.
//! 2. A candidate whose own time is over ends, whatever else there is.
//! 3. Without every approval and every gate's yes it waits, whoever asks.
//! 4. Then it is promoted when somebody asks; by itself, where nobody has to, once it has waited for its time.

use super::{Answer, Conditions};
use crate::domain::lifecycle::policy::Policy;
use crate::foundation::span::{Span, moment};
use jiff::{SignedDuration, Timestamp};

/// How a candidate stands at one moment.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// What must be so.
    pub conditions: &'a Conditions,
    /// Since when it is verified.
    pub since: Timestamp,
    /// The moment.
    pub now: Timestamp,
    /// How many different people have approved.
    pub approved: u32,
    /// What each gate said last, why where it said so, and since when it is asked; in the order of the gates.
    pub gates: Vec<(Answer, Option<String>, Option<Timestamp>)>,
    /// Who decides on the promotion where no time does.
    pub promotion: Policy,
    /// Whether only a person may promote it, also when a time is over.
    pub needs_a_person: bool,
    /// Whether somebody asks to promote it.
    pub is_asked: bool,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is promoted.
    Promote,
    /// It waits.
    Wait {
        /// For what, a few words each.
        waits_for: Vec<String>,
        /// Whether a person must do something before it goes on.
        on_a_person: bool,
        /// Whether approvals or gates are missing, so that it is not promoted whoever asks.
        is_barred: bool,
        /// Whether somebody must promote it, when nothing else is missing.
        is_theirs: bool,
        /// When time alone changes something.
        until: Option<Timestamp>,
    },
    /// It ends.
    End(End),
}

/// Why it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A gate said no, or nothing for too long.
    Gate {
        /// Which.
        gate: String,
        /// Why, in one sentence.
        reason: String,
    },
    /// Nobody promoted it in time.
    Expired {
        /// Why, in one sentence.
        reason: String,
    },
}

/// The moment so long after another.
#[must_use]
pub fn after(since: Timestamp, span: Span) -> Timestamp {
    let span = SignedDuration::try_from(span.0).unwrap_or(SignedDuration::MAX);
    since.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// What follows from a situation.
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Decision {
    let Situation {
        conditions,
        since,
        now,
        ..
    } = situation;
    let mut until: Vec<Timestamp> = Vec::new();
    let mut waits_for = Vec::new();
    let (mut on_a_person, mut is_theirs) = (false, false);
    let needed = conditions.approvals.count;
    if situation.approved < needed {
        waits_for.push(format!(
            "{} of {needed} approvals (by {})",
            situation.approved,
            conditions.approvals.who()
        ));
        on_a_person = true;
    }
    for (gate, (answer, says, asked)) in conditions.gates.iter().zip(&situation.gates) {
        let over = asked.map(|asked| after(asked, Span(gate.wait_for())));
        let ends = |reason: String| {
            Decision::End(End::Gate {
                gate: gate.name.clone(),
                reason,
            })
        };
        match answer {
            Answer::Yes => continue,
            Answer::No => {
                let why = says.as_deref().unwrap_or("it gives no reason");
                return ends(format!("the gate {} says no: {why}", gate.name));
            }
            Answer::NotAsked | Answer::NotYet | Answer::Unclear => {}
        }
        if over.is_some_and(|over| over <= *now) {
            let waited = humantime::format_duration(gate.wait_for());
            let last = says.as_deref().unwrap_or("it gave no reason");
            return ends(format!(
                "the gate {} did not say yes within {waited}; the last answer: {last}",
                gate.name
            ));
        }
        until.extend(over);
        waits_for.push(format!("the gate {}", gate.name));
    }
    if let Some(expires) = conditions.expires {
        let at = after(*since, expires);
        if at <= *now {
            return Decision::End(End::Expired {
                reason: format!(
                    "nobody promoted it within {}, so it expired",
                    humantime::format_duration(expires.0)
                ),
            });
        }
        until.push(at);
    }
    let is_barred = !waits_for.is_empty();
    let by_time = conditions.promote_after.map(|span| after(*since, span));
    match (situation.needs_a_person, by_time, situation.promotion) {
        (_, _, _) if situation.is_asked => {}
        (true, _, _) | (false, None, Policy::Manual) => {
            waits_for.push("somebody to promote it".to_owned());
            on_a_person = true;
            is_theirs = true;
        }
        (false, Some(at), _) if at > *now => {
            waits_for.push(format!("{}, or somebody to promote it", moment(at)));
            until.push(at);
        }
        (false, Some(_), _) | (false, None, Policy::Automatic) => {}
    }
    if waits_for.is_empty() {
        return Decision::Promote;
    }
    Decision::Wait {
        waits_for,
        on_a_person,
        is_barred,
        is_theirs,
        until: until.into_iter().min(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Conditions, Decision, End, Situation, after, decide};
    use crate::domain::lifecycle::policy::Policy;
    use crate::domain::promotion::Gate;
    use crate::foundation::span::Span;
    use jiff::Timestamp;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn span(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn conditions() -> Conditions {
        let mut conditions = Conditions::default();
        conditions.approvals.count = 2;
        conditions.gates = vec![Gate {
            name: "board".to_owned(),
            url: "https://board".to_owned(),
            headers: BTreeMap::new(),
            timeout: None,
            interval: None,
            wait_for: Some(span(100)),
        }];
        conditions
    }

    fn situation(conditions: &Conditions) -> Situation<'_> {
        Situation {
            conditions,
            since: at(0),
            now: at(10),
            approved: 2,
            gates: vec![(Answer::Yes, None, Some(at(1)))],
            promotion: Policy::Automatic,
            needs_a_person: false,
            is_asked: false,
        }
    }

    fn waits(decision: &Decision) -> (Vec<String>, bool, bool, Option<Timestamp>) {
        let Decision::Wait {
            waits_for,
            on_a_person,
            is_barred,
            until,
            ..
        } = decision
        else {
            panic!("it does not wait: {decision:?}");
        };
        (waits_for.clone(), *on_a_person, *is_barred, *until)
    }

    #[test]
    fn it_waits_for_every_approval_and_every_gate_whoever_asks() {
        let conditions = conditions();
        assert_eq!(decide(&situation(&conditions)), Decision::Promote);
        for is_asked in [false, true] {
            let one = Situation {
                approved: 1,
                gates: vec![(Answer::NotYet, None, Some(at(1)))],
                is_asked,
                ..situation(&conditions)
            };
            let (waits_for, on_a_person, is_barred, until) = waits(&decide(&one));
            let expected = [
                "1 of 2 approvals (by whoever may promote)",
                "the gate board",
            ];
            assert_eq!(waits_for, expected);
            assert!(on_a_person && is_barred);
            assert_eq!(until, Some(at(101)));
            let gate = Situation { approved: 3, ..one };
            let (waits_for, on_a_person, ..) = waits(&decide(&gate));
            assert_eq!(waits_for, ["the gate board"]);
            assert!(!on_a_person);
        }
    }

    #[test]
    fn a_gate_ends_it_by_saying_no_or_nothing() {
        let conditions = conditions();
        let with = |answer, says: Option<&str>, now| {
            decide(&Situation {
                gates: vec![(answer, says.map(str::to_owned), Some(at(1)))],
                now: at(now),
                ..situation(&conditions)
            })
        };
        let no = with(Answer::No, Some("a freeze"), 10);
        let Decision::End(End::Gate { gate, reason }) = no else {
            panic!("{no:?}");
        };
        assert_eq!(
            (gate.as_str(), reason.as_str()),
            ("board", "the gate board says no: a freeze")
        );
        let waiting = with(Answer::Unclear, None, 100);
        assert_eq!(waits(&waiting).3, Some(at(101)));
        let late = with(Answer::Unclear, Some("it answers 503"), 101);
        let said = format!("{late:?}");
        assert!(
            said.contains("within 1m 40s; the last answer: it answers 503"),
            "{said}"
        );
        // What said yes once has said it.
        assert_eq!(with(Answer::Yes, None, 1000), Decision::Promote);
        let unasked = decide(&Situation {
            gates: vec![(Answer::NotAsked, None, None)],
            now: at(1000),
            ..situation(&conditions)
        });
        assert_eq!(waits(&unasked).3, None);
    }

    #[test]
    fn a_person_or_the_time_promotes() {
        let nothing = Conditions {
            promote_after: Some(span(60)),
            ..Conditions::default()
        };
        let of = |promotion, needs_a_person, is_asked, now| {
            decide(&Situation {
                gates: Vec::new(),
                promotion,
                needs_a_person,
                is_asked,
                now: at(now),
                ..situation(&nothing)
            })
        };
        for promotion in [Policy::Manual, Policy::Automatic] {
            let (_, on_a_person, is_barred, until) = waits(&of(promotion, false, false, 59));
            assert!(!on_a_person && !is_barred);
            assert_eq!(until, Some(at(60)));
            assert_eq!(of(promotion, false, false, 60), Decision::Promote);
            assert_eq!(of(promotion, false, true, 5), Decision::Promote);
            // A check that asks a person is answered by no clock.
            let (waits_for, on_a_person, ..) = waits(&of(promotion, true, false, 60));
            assert_eq!(waits_for, ["somebody to promote it"]);
            assert!(on_a_person);
            assert_eq!(of(promotion, true, true, 60), Decision::Promote);
        }
    }

    #[test]
    fn what_nobody_promoted_in_time_expires_whatever_there_is() {
        let mut expiring = conditions();
        expiring.expires = Some(span(50));
        let mut now = situation(&expiring);
        now.promotion = Policy::Manual;
        assert_eq!(waits(&decide(&now)).3, Some(at(50)));
        now.now = at(50);
        now.is_asked = true;
        let ended = decide(&now);
        assert!(
            matches!(ended, Decision::End(End::Expired { .. })),
            "{ended:?}"
        );
        assert!(format!("{ended:?}").contains("within 50s"), "{ended:?}");
        assert_eq!(after(at(0), Span(Duration::MAX)), Timestamp::MAX);
    }
}
