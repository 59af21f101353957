//! Python's `datetime` and `pytz`. A time without a zone is what the machine's clock says.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use minijinja::value::{Kwargs, Object, ObjectRepr, Value as Jinja, from_args};
use minijinja::{Error, State};

use super::{unknown, wrong};

pub(super) fn module() -> Jinja {
    [Class::DateTime, Class::Date, Class::Time]
        .into_iter()
        .map(|class| (class.name(), Jinja::from_object(class)))
        .collect()
}

/// The module `pytz`.
pub(super) fn zones() -> Jinja {
    let zone = |zone| Jinja::from_object(Zone(zone));
    [
        ("utc", zone(TimeZone::UTC)),
        ("UTC", zone(TimeZone::UTC)),
        (
            "timezone",
            Jinja::from_function(|name: String| {
                let zone = TimeZone::get(&name);
                let zone = zone.map_err(|_| wrong(format!("there is no time zone {name}")))?;
                Ok(Jinja::from_object(Zone(zone)))
            }),
        ),
    ]
    .into_iter()
    .collect()
}

/// The value of `run_started_at`.
pub(super) fn started(at: Timestamp) -> Jinja {
    aware(at.to_zoned(TimeZone::UTC))
}

fn aware(at: Zoned) -> Jinja {
    Jinja::from_object(Moment {
        civil: at.datetime(),
        zoned: Some(at),
    })
}

fn naive(civil: DateTime) -> Jinja {
    Jinja::from_object(Moment { civil, zoned: None })
}

fn impossible(error: &jiff::Error) -> Error {
    wrong(format!("no such time: {error}"))
}

/// A zone of `pytz`.
#[derive(Debug)]
struct Zone(TimeZone);

impl Object for Zone {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        if method != "localize" {
            return Err(unknown("a time zone", method));
        }
        let (moment,): (Jinja,) = from_args(arguments)?;
        let moment = moment.downcast_object_ref::<Moment>();
        let moment = moment.ok_or_else(|| wrong("localize takes a datetime"))?;
        let zoned = moment.civil.to_zoned(self.0.clone());
        zoned.map(aware).map_err(|error| impossible(&error))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// The zone of an argument; none for the machine's own.
fn zone(argument: Option<&Jinja>) -> Result<Option<TimeZone>, Error> {
    let Some(argument) = argument.filter(|argument| !argument.is_none()) else {
        return Ok(None);
    };
    let zone = argument.downcast_object_ref::<Zone>();
    let zone = zone.ok_or_else(|| wrong("a time zone is one of modules.pytz"))?;
    Ok(Some(zone.0.clone()))
}

/// A class of `datetime`.
#[derive(Clone, Copy, Debug)]
enum Class {
    DateTime,
    Date,
    Time,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::DateTime => "datetime",
            Self::Date => "date",
            Self::Time => "time",
        }
    }

    fn parse(self, text: &str) -> Result<Jinja, Error> {
        let failed = |error| impossible(&error);
        Ok(match self {
            Self::DateTime => match text.parse::<Timestamp>() {
                Ok(_) => {
                    let zoned = strtime::BrokenDownTime::parse("%Y-%m-%dT%H:%M:%S%.f%:z", text);
                    match zoned.and_then(|parsed| parsed.to_zoned()) {
                        Ok(zoned) => aware(zoned),
                        Err(_) => started(text.parse().map_err(failed)?),
                    }
                }
                Err(_) => naive(text.parse().map_err(failed)?),
            },
            Self::Date => Jinja::from_object(Day(text.parse().map_err(failed)?)),
            Self::Time => Jinja::from_object(Clock(text.parse().map_err(failed)?)),
        })
    }
}

impl Object for Class {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &State<'_, '_>, arguments: &[Jinja]) -> Result<Jinja, Error> {
        let (given, named): (minijinja::value::Rest<i64>, Kwargs) = from_args(arguments)?;
        let mut at = given.iter().copied();
        let mut part = |name: &str, default: Option<i64>| -> Result<i64, Error> {
            let value = match at.next() {
                Some(value) => Some(value),
                None => named.get::<Option<i64>>(name)?,
            };
            value
                .or(default)
                .ok_or_else(|| wrong(format!("{name} is missing")))
        };
        let small = |number: i64| i8::try_from(number).map_err(|_| wrong("no such time"));
        let mut date = || -> Result<Date, Error> {
            let year = i16::try_from(part("year", None)?).map_err(|_| wrong("no such year"))?;
            let (month, day) = (small(part("month", None)?)?, small(part("day", None)?)?);
            Date::new(year, month, day).map_err(|error| impossible(&error))
        };
        if let Self::Date = **self {
            return Ok(Jinja::from_object(Day(date()?)));
        }
        let date = match **self {
            Self::DateTime => Some(date()?),
            Self::Date | Self::Time => None,
        };
        let (hour, minute) = (
            small(part("hour", Some(0))?)?,
            small(part("minute", Some(0))?)?,
        );
        let second = small(part("second", Some(0))?)?;
        let micros = part("microsecond", Some(0))?;
        let nanos =
            i32::try_from(micros.saturating_mul(1000)).map_err(|_| wrong("no such time"))?;
        let time = Time::new(hour, minute, second, nanos).map_err(|error| impossible(&error))?;
        Ok(match date {
            Some(date) => naive(date.to_datetime(time)),
            None => Jinja::from_object(Clock(time)),
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        let now = |zone: TimeZone| Timestamp::now().to_zoned(zone);
        match (**self, method) {
            (Self::DateTime, "utcnow") => Ok(naive(now(TimeZone::UTC).datetime())),
            (Self::DateTime, "now" | "today") => {
                let (given, named): (Option<Jinja>, Kwargs) = from_args(arguments)?;
                let named: Option<Jinja> = named.get("tz")?;
                Ok(match zone(given.or(named).as_ref())? {
                    Some(zone) => aware(now(zone)),
                    None => naive(now(TimeZone::system()).datetime()),
                })
            }
            (Self::Date, "today") => Ok(Jinja::from_object(Day(now(TimeZone::system()).date()))),
            (Self::DateTime, "strptime") => {
                let (text, format): (&str, &str) = from_args(arguments)?;
                let parsed = strtime::parse(format, text).map_err(|error| impossible(&error))?;
                if let Ok(zoned) = parsed.to_zoned() {
                    return Ok(aware(zoned));
                }
                let date = parsed.to_date().map_err(|error| impossible(&error))?;
                let time = parsed.to_time().unwrap_or(Time::midnight());
                Ok(naive(date.to_datetime(time)))
            }
            (Self::DateTime | Self::Date | Self::Time, "fromisoformat") => {
                let (text,): (&str,) = from_args(arguments)?;
                self.parse(text)
            }
            (Self::DateTime, "combine") => {
                let (day, clock): (Jinja, Jinja) = from_args(arguments)?;
                match (
                    day.downcast_object_ref::<Day>(),
                    clock.downcast_object_ref::<Clock>(),
                ) {
                    (Some(day), Some(clock)) => Ok(naive(day.0.to_datetime(clock.0))),
                    _ => Err(wrong("combine takes a date and a time")),
                }
            }
            (Self::DateTime | Self::Date | Self::Time, _) => Err(unknown(self.name(), method)),
        }
    }
}

/// `datetime.datetime`: with a zone, or without.
#[derive(Debug)]
struct Moment {
    civil: DateTime,
    zoned: Option<Zoned>,
}

/// `datetime.date`.
#[derive(Debug)]
struct Day(Date);

/// `datetime.time`.
#[derive(Debug)]
struct Clock(Time);

/// Python's `strftime`: microseconds have six digits, and what has no zone says nothing of one.
fn formatted(
    format: &str,
    time: impl Into<strtime::BrokenDownTime>,
    has_zone: bool,
) -> Result<Jinja, Error> {
    let mut own = String::with_capacity(format.len());
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        match (c, c == '%') {
            (_, false) => own.push(c),
            (_, true) => match rest.next() {
                Some('f') => own.push_str("%6f"),
                Some('z' | 'Z') if !has_zone => {}
                Some(other) => own.extend(['%', other]),
                None => own.push_str("%%"),
            },
        }
    }
    let text = time.into().to_string(&own);
    text.map(Jinja::from).map_err(|error| impossible(&error))
}

fn date_part(date: Date, name: &str) -> Option<Jinja> {
    Some(match name {
        "year" => Jinja::from(date.year()),
        "month" => Jinja::from(date.month()),
        "day" => Jinja::from(date.day()),
        _ => return None,
    })
}

fn date_method(date: Date, method: &str) -> Option<Jinja> {
    Some(match method {
        "weekday" => Jinja::from(date.weekday().to_monday_zero_offset()),
        "isoweekday" => Jinja::from(date.weekday().to_monday_one_offset()),
        "isocalendar" => {
            let week = date.iso_week_date();
            let day = week.weekday().to_monday_one_offset();
            Jinja::from(vec![
                Jinja::from(week.year()),
                Jinja::from(week.week()),
                Jinja::from(day),
            ])
        }
        _ => return None,
    })
}

fn time_part(time: Time, name: &str) -> Option<Jinja> {
    Some(match name {
        "hour" => Jinja::from(time.hour()),
        "minute" => Jinja::from(time.minute()),
        "second" => Jinja::from(time.second()),
        "microsecond" => Jinja::from(time.subsec_nanosecond() / 1000),
        _ => return None,
    })
}

/// As Python writes it: no fraction where there are no microseconds.
fn clock_text(time: Time) -> String {
    let micros = time.subsec_nanosecond() / 1000;
    let text = format!(
        "{:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    );
    match micros {
        0 => text,
        micros => format!("{text}.{micros:06}"),
    }
}

impl Moment {
    fn text(&self, separator: &str) -> String {
        let offset = self.zoned.as_ref().map(|zoned| {
            let seconds = zoned.offset().seconds();
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        });
        let (date, time) = (self.civil.date(), clock_text(self.civil.time()));
        format!("{date}{separator}{time}{}", offset.unwrap_or_default())
    }

    fn zoned(&self) -> Result<Zoned, Error> {
        match &self.zoned {
            Some(zoned) => Ok(zoned.clone()),
            None => {
                let zoned = self.civil.to_zoned(TimeZone::system());
                zoned.map_err(|error| impossible(&error))
            }
        }
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let name = key.as_str()?;
        let part = date_part(self.civil.date(), name);
        part.or_else(|| time_part(self.civil.time(), name))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        Ok(match method {
            "strftime" => {
                let (format,): (&str,) = from_args(arguments)?;
                match &self.zoned {
                    Some(zoned) => formatted(format, zoned, true)?,
                    None => formatted(format, self.civil, false)?,
                }
            }
            "isoformat" => {
                let (separator,): (Option<&str>,) = from_args(arguments)?;
                Jinja::from(self.text(separator.unwrap_or("T")))
            }
            "date" => Jinja::from_object(Day(self.civil.date())),
            "time" => Jinja::from_object(Clock(self.civil.time())),
            "timestamp" => {
                let micros = self.zoned()?.timestamp().as_microsecond();
                #[expect(clippy::cast_precision_loss, reason = "as in Python")]
                let seconds = micros as f64 / 1e6;
                Jinja::from(seconds)
            }
            "astimezone" => {
                let (given, named): (Option<Jinja>, Kwargs) = from_args(arguments)?;
                let named: Option<Jinja> = named.get("tz")?;
                let zone = zone(given.or(named).as_ref())?.unwrap_or(TimeZone::system());
                aware(self.zoned()?.with_time_zone(zone))
            }
            _ => {
                let known = date_method(self.civil.date(), method);
                known.ok_or_else(|| unknown("a datetime", method))?
            }
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(" "))
    }
}

impl Object for Day {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        date_part(self.0, key.as_str()?)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        Ok(match method {
            "strftime" => {
                let (format,): (&str,) = from_args(arguments)?;
                formatted(format, self.0.to_datetime(Time::midnight()), false)?
            }
            "isoformat" => Jinja::from(self.0.to_string()),
            _ => {
                let known = date_method(self.0, method);
                known.ok_or_else(|| unknown("a date", method))?
            }
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Object for Clock {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        time_part(self.0, key.as_str()?)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        match method {
            "strftime" => {
                let (format,): (&str,) = from_args(arguments)?;
                formatted(
                    format,
                    Date::constant(1900, 1, 1).to_datetime(self.0),
                    false,
                )
            }
            "isoformat" => Ok(Jinja::from(clock_text(self.0))),
            _ => Err(unknown("a time", method)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clock_text(self.0))
    }
}
