//! Windows in which an environment is frozen, as moments.
//!
//! A window by `cron` begins with each firing, as a schedule's, and lasts for its length, whatever the clocks do
//! meanwhile. A day is a day of its time zone: 23, 24 or 25 hours. Windows that overlap or touch are one.

use super::Schedule;
use crate::domain::records::hold::Frozen;
use crate::inputs::settings::{self, Freeze};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// So many windows one after the other are followed to the end of a freeze; what goes on after that has no end that
/// is worth telling.
const FOLLOWED: usize = 400;

/// The windows of an environment, read.
#[derive(Debug, Clone, Default)]
pub struct Windows(Vec<Window>);

#[derive(Debug, Clone)]
struct Window {
    reason: String,
    when: When,
}

#[derive(Debug, Clone)]
enum When {
    /// From each firing on, for so long.
    Again(Box<Schedule>, SignedDuration),
    /// From, until (not included); some have no end.
    Once(Vec<(Timestamp, Option<Timestamp>)>),
}

/// What is wrong with a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowFault {
    /// The key; empty: the window as a whole.
    pub key: &'static str,
    /// What it is.
    pub problem: String,
    /// What to write.
    pub remedy: String,
}

fn fault<T>(
    key: &'static str,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, WindowFault> {
    Err(WindowFault {
        key,
        problem: problem.into(),
        remedy: remedy.into(),
    })
}

const FORMS: &str = "write {cron, length}, {from, to} or {dates}";

impl Windows {
    /// The windows that are configured.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(list: &[Freeze]) -> Result<Self, WindowFault> {
        list.iter()
            .map(Window::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// As [`Self::parse`]; windows that cannot be read are one that has no end, since nobody knows when they are.
    #[must_use]
    pub fn of(list: &[Freeze]) -> Self {
        Self::parse(list).unwrap_or_else(|fault| {
            Self(vec![Window {
                reason: format!("the windows cannot be read: {}", fault.problem),
                when: When::Once(vec![(Timestamp::MIN, None)]),
            }])
        })
    }

    /// What freezes at this moment, with every reason, and until when.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<Frozen> {
        let mut reasons: Vec<&str> = Vec::new();
        for window in &self.0 {
            if window.end(now).is_some() && !reasons.contains(&window.reason.as_str()) {
                reasons.push(&window.reason);
            }
        }
        let reason = reasons.join("; ");
        (!reasons.is_empty()).then(|| Frozen {
            reason,
            until: self.thaw(now),
        })
    }

    /// When nothing freezes any more that does at this moment.
    fn thaw(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..FOLLOWED {
            let ends: Vec<Option<Timestamp>> =
                self.0.iter().filter_map(|window| window.end(at)).collect();
            if ends.is_empty() {
                return Some(at);
            }
            at = ends
                .into_iter()
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .max()?;
        }
        None
    }

    /// The next beginning of each window after this moment, the nearest first, with what it freezes.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Vec<(Timestamp, Frozen)> {
        let begins = self.0.iter().filter_map(|window| {
            let from = window.next(now)?;
            let until = window.end(from)?;
            let reason = window.reason.clone();
            Some((from, Frozen { reason, until }))
        });
        let mut all: Vec<_> = begins.collect();
        all.sort_by_key(|(from, _)| *from);
        all
    }
}

impl Window {
    fn parse(freeze: &Freeze) -> Result<Self, WindowFault> {
        let name = freeze.zone.as_deref().unwrap_or("UTC");
        let Ok(zone) = TimeZone::get(name) else {
            return fault(
                "zone",
                format!("{name:?} is not a time zone that this machine knows"),
                "write a name such as UTC or Europe/Berlin; where all are unknown, install tzdata",
            );
        };
        let is_again = freeze.cron.is_some() || freeze.length.is_some();
        let is_once = freeze.from.is_some() || freeze.to.is_some();
        let is_dates = !freeze.dates.is_empty();
        let when = match (is_again, is_once, is_dates) {
            (true, false, false) => Self::again(freeze)?,
            (false, true, false) => {
                let Some(from) = &freeze.from else {
                    return fault("from", "it says when it ends and not when it begins", FORMS);
                };
                let from = begin("from", from, &zone)?;
                let to = freeze.to.as_ref().map(|to| end("to", to, &zone));
                let to = to.transpose()?;
                if to.is_some_and(|to| to <= from) {
                    return fault(
                        "to",
                        "it ends before it begins",
                        "write a later day or moment",
                    );
                }
                When::Once(vec![(from, to)])
            }
            (false, false, true) => {
                let days = freeze.dates.iter().map(|date| {
                    let from = begin("dates", date, &zone)?;
                    Ok((from, Some(end("dates", date, &zone)?)))
                });
                let days: Vec<_> = days.collect::<Result<_, _>>()?;
                if freeze.dates.iter().any(|date| date.len() != DAY) {
                    return fault(
                        "dates",
                        "these are whole days",
                        "write 2026-12-24, or use from and to",
                    );
                }
                When::Once(days)
            }
            (false, false, false) => return fault("", "it says no time", FORMS),
            _ => return fault("", "it says its time in more than one way", FORMS),
        };
        Ok(Self {
            reason: freeze.reason.clone(),
            when,
        })
    }

    fn again(freeze: &Freeze) -> Result<When, WindowFault> {
        let Some(length) = freeze.length else {
            return fault(
                "length",
                "it says when it begins and not how long it lasts",
                FORMS,
            );
        };
        let schedule = settings::Schedule {
            cron: freeze.cron.clone(),
            time_zone: freeze.zone.clone(),
            ..settings::Schedule::default()
        };
        match Schedule::parse(&schedule, "") {
            Ok(Some(schedule)) => {
                let length = SignedDuration::try_from(length.0).unwrap_or(SignedDuration::MAX);
                Ok(When::Again(Box::new(schedule), length))
            }
            Ok(None) => fault(
                "cron",
                "it says how long it lasts and not when it begins",
                FORMS,
            ),
            Err(error) => fault("cron", error.to_string(), error.remedy()),
        }
    }

    /// When the window ends that lies over this moment: `Some(None)` of one without an end; `None`: none does.
    fn end(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        match &self.when {
            When::Again(schedule, length) => {
                let since = now.checked_sub(*length).ok()?;
                let begun = schedule.latest_due(since, now)?;
                Some(begun.checked_add(*length).ok())
            }
            When::Once(spans) => spans
                .iter()
                .find(|(from, to)| *from <= now && to.is_none_or(|to| now < to))
                .map(|(_, to)| *to),
        }
    }

    /// The first beginning after this moment.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Again(schedule, _) => schedule.next_after(now),
            When::Once(spans) => spans
                .iter()
                .map(|(from, _)| *from)
                .filter(|from| *from > now)
                .min(),
        }
    }
}

/// How long `2026-12-24` is.
const DAY: usize = 10;

fn begin(key: &'static str, text: &str, zone: &TimeZone) -> Result<Timestamp, WindowFault> {
    read(key, text, zone, Some)
}

/// Of a day its end.
fn end(key: &'static str, text: &str, zone: &TimeZone) -> Result<Timestamp, WindowFault> {
    read(key, text, zone, |day| day.tomorrow().ok())
}

fn read(
    key: &'static str,
    text: &str,
    zone: &TimeZone,
    of_day: impl Fn(Date) -> Option<Date>,
) -> Result<Timestamp, WindowFault> {
    let civil = match text.len() {
        DAY => text
            .parse::<Date>()
            .ok()
            .and_then(of_day)
            .map(DateTime::from),
        _ => match text.parse::<Timestamp>() {
            Ok(moment) => return Ok(moment),
            Err(_) => text.parse::<DateTime>().ok(),
        },
    };
    let moment = civil.and_then(|civil| zone.to_timestamp(civil).ok());
    match moment {
        Some(moment) => Ok(moment),
        None => fault(
            key,
            format!("{text:?} is neither a day nor a moment"),
            "write 2026-12-24, 2026-12-24T16:00 or 2026-12-24T16:00:00Z",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::Windows;
    use crate::inputs::settings::Freeze;
    use jiff::Timestamp;

    fn windows(yaml: &str) -> Windows {
        let list: Vec<Freeze> = serde_yaml::from_str(yaml).expect("YAML");
        Windows::parse(&list).expect("windows")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    /// Until when it is frozen, and why.
    fn frozen(windows: &Windows, now: &str) -> Option<(Option<Timestamp>, String)> {
        let found = windows.at(at(now))?;
        Some((found.until, found.reason))
    }

    #[test]
    fn a_window_lasts_its_length_from_each_firing() {
        let weekend =
            windows("[{cron: '0 16 * * FRI', length: 64h, zone: Europe/Berlin, reason: weekend}]");
        assert_eq!(frozen(&weekend, "2026-07-03T13:59:59Z"), None);
        let until = Some(at("2026-07-06T06:00:00Z"));
        for now in [
            "2026-07-03T14:00:00Z",
            "2026-07-05T00:00:00Z",
            "2026-07-06T05:59:59Z",
        ] {
            assert_eq!(frozen(&weekend, now), Some((until, "weekend".to_owned())));
        }
        assert_eq!(frozen(&weekend, "2026-07-06T06:00:00Z"), None);
        let next = weekend.next(at("2026-07-06T06:00:00Z"));
        assert_eq!(next[0].0, at("2026-07-10T14:00:00Z"));
        assert_eq!(next[0].1.until, Some(at("2026-07-13T06:00:00Z")));
    }

    #[test]
    fn clocks_that_change_move_its_beginning_and_not_its_length() {
        // The clocks go forward on 29 March 2026 and back on 25 October.
        let night =
            windows("[{cron: '30 2 * * *', length: 2h, zone: Europe/Berlin, reason: night}]");
        // 02:30 does not exist: it begins after the gap.
        assert_eq!(frozen(&night, "2026-03-29T00:59:59Z"), None);
        let (until, _) = frozen(&night, "2026-03-29T01:00:00Z").expect("frozen");
        assert_eq!(until, Some(at("2026-03-29T03:00:00Z")));
        // 02:30 comes twice: it begins the first time, and not again.
        let (until, _) = frozen(&night, "2026-10-25T00:30:00Z").expect("frozen");
        assert_eq!(until, Some(at("2026-10-25T02:30:00Z")));
        assert_eq!(frozen(&night, "2026-10-25T02:30:00Z"), None);
        // A day has 23 hours then, or 25.
        let days = windows("[{dates: [2026-03-29, 2026-10-25], zone: Europe/Berlin, reason: day}]");
        let (until, _) = frozen(&days, "2026-03-28T23:00:00Z").expect("frozen");
        assert_eq!(until, Some(at("2026-03-29T22:00:00Z")));
        let (until, _) = frozen(&days, "2026-10-24T22:00:00Z").expect("frozen");
        assert_eq!(until, Some(at("2026-10-25T23:00:00Z")));
    }

    #[test]
    fn what_overlaps_or_touches_is_one_and_says_every_reason_of_the_moment() {
        let year = windows(
            "[{from: 2026-12-24, to: 2026-12-26, reason: Christmas},
              {from: 2026-12-26T12:00, to: 2026-12-28T00:00, reason: stocktaking},
              {from: '2026-12-28T00:00:00Z', to: 2026-12-28, reason: after}]",
        );
        let until = Some(at("2026-12-29T00:00:00Z"));
        assert_eq!(frozen(&year, "2026-12-23T23:59:59Z"), None);
        let christmas = Some((until, "Christmas".to_owned()));
        assert_eq!(frozen(&year, "2026-12-24T00:00:00Z"), christmas);
        let both = Some((until, "Christmas; stocktaking".to_owned()));
        assert_eq!(frozen(&year, "2026-12-26T13:00:00Z"), both);
        assert_eq!(frozen(&year, "2026-12-29T00:00:00Z"), None);
        assert_eq!(year.next(at("2026-12-25T00:00:00Z")).len(), 2);
    }

    #[test]
    fn without_an_end_nobody_says_when_it_thaws() {
        let open = windows("[{from: 2026-01-01, reason: sold}]");
        assert_eq!(
            frozen(&open, "2030-01-01T00:00:00Z"),
            Some((None, "sold".to_owned()))
        );
        let always = windows("[{cron: '* * * * *', length: 2m, reason: always}]");
        assert_eq!(
            frozen(&always, "2030-01-01T00:00:30Z"),
            Some((None, "always".to_owned()))
        );
        // A year of every second is not walked through.
        let seconds = windows("[{cron: '* * * * * *', length: 300d, reason: always}]");
        assert_eq!(
            frozen(&seconds, "2030-01-01T00:00:30Z"),
            Some((None, "always".to_owned()))
        );
    }

    #[test]
    fn each_fault_names_its_key() {
        let key = |yaml: &str| {
            let list: Vec<Freeze> = serde_yaml::from_str(yaml).expect("YAML");
            Windows::parse(&list).expect_err("a fault").key
        };
        assert_eq!(key("[{reason: x}]"), "");
        assert_eq!(
            key("[{reason: x, cron: '0 0 * * *', length: 1h, from: 2026-01-01}]"),
            ""
        );
        assert_eq!(key("[{reason: x, cron: '0 0 * * *'}]"), "length");
        assert_eq!(key("[{reason: x, length: 1h}]"), "cron");
        assert_eq!(key("[{reason: x, cron: '0 0 30 2 *', length: 1h}]"), "cron");
        assert_eq!(
            key("[{reason: x, from: 2026-01-01, zone: Nowhere}]"),
            "zone"
        );
        assert_eq!(key("[{reason: x, to: 2026-01-01}]"), "from");
        assert_eq!(key("[{reason: x, from: soon}]"), "from");
        assert_eq!(key("[{reason: x, from: 2026-01-02, to: 2026-01-01}]"), "to");
        assert_eq!(key("[{reason: x, dates: [2026-02-30]}]"), "dates");
        assert_eq!(key("[{reason: x, dates: [2026-02-20T10:00]}]"), "dates");
    }
}
