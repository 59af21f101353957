//! From the words of a command line to values.

use super::{Kind, Vars};
use crate::domain::plan::refusal::RefusalName;
use crate::foundation::span::Span;
use crate::inputs::selection;
use std::time::Duration;

pub(super) fn parse_span(text: &str) -> Result<Span, String> {
    humantime::parse_duration(text)
        .map(Span)
        .map_err(|error| format!("not a duration such as 0s, 15m or 2h ({error})"))
        .and_then(|span| {
            const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
            if span.0 > LONGEST {
                return Err("longer than a year".to_owned());
            }
            Ok(span)
        })
}

pub(super) fn parse_allow(word: &str) -> Result<RefusalName, String> {
    let known = word.parse::<RefusalName>();
    let name = known.map_err(|_| format!("{word:?} is not the name of a refusal"))?;
    if name.is_allowable() {
        return Ok(name);
    }
    let allowable: Vec<&str> = RefusalName::ALL
        .iter()
        .filter(|name| name.is_allowable())
        .map(|name| name.as_str())
        .collect();
    Err(format!(
        "it would lose data or break the atomic swap; only these can be accepted: {}",
        allowable.join(", ")
    ))
}

pub(super) fn parse_kind(word: &str) -> Result<Kind, String> {
    let known = selection::Kept::by_ls_of_all().kinds;
    match word {
        "all" => Ok(Kind::All),
        "default" => Ok(Kind::Default),
        word => match word.parse().ok().filter(|kind| known.contains(kind)) {
            Some(kind) => Ok(Kind::One(kind)),
            None => {
                let names: Vec<&str> = known.iter().map(|kind| kind.as_str()).collect();
                Err(format!("use all, default or one of {}", names.join(", ")))
            }
        },
    }
}

pub(super) fn parse_vars(text: &str) -> Result<Vars, String> {
    if text.trim().is_empty() {
        return Ok(Vars::default());
    }
    serde_yaml::from_str(text)
        .map(Vars)
        .map_err(|error| format!("not a YAML mapping such as '{{country: fr}}' ({error})"))
}

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(text.to_owned())
}
