//! Whether the endpoints that checks ask answer, and what is to be done where one does not.

use super::Findings;
use crate::domain::checks::{Check, Level, Unknown};
use crate::foundation::failure::Class;
use crate::interfaces::record::Verdict;
use crate::operations::release::Release;
use futures_util::future::join_all;

/// Asks each of them once. Nothing is sent by POST: there it is only seen whether somebody answers.
pub(super) async fn tried(release: &Release, findings: &mut Findings) {
    let endpoints = release.endpoints();
    let external = release.settings.checks.iter();
    let external = external.filter_map(|check| Some((check, check.external()?)));
    let asking = external.map(async |(check, external)| {
        let answer = endpoints.try_once(external).await;
        (check, answer)
    });
    for (check, answer) in join_all(asking).await {
        let name = check.name();
        let (verdict, detail, remedy) = match answer {
            Err(why) => (
                Verdict::Fault(Class::Usage),
                format!("{name:?}: {why}"),
                Some("correct the check in the configuration".to_owned()),
            ),
            Ok((reading, asked)) => {
                let detail = format!("{name:?}: {} ({asked})", reading.says);
                let (verdict, remedy) = match reading.holds {
                    Ok(true) => (Verdict::Ok, None),
                    Ok(false) => (
                        Verdict::Warning,
                        Some("it answers; at present the check would fail".to_owned()),
                    ),
                    Err(unknown) => (weight(check, unknown), Some(remedy(unknown))),
                };
                (verdict, detail, remedy)
            }
        };
        findings.push("check", verdict, detail, remedy);
    }
}

/// What only concerns the moment is no fault, and nothing that concerns what is only told.
fn weight(check: &Check, unknown: Unknown) -> Verdict {
    let class = match unknown {
        Unknown::Empty | Unknown::Nan | Unknown::Several => return Verdict::Warning,
        Unknown::Unreachable | Unknown::Timeout => Class::Transient,
        Unknown::WrongType => Class::Usage,
    };
    match check.level() {
        Level::Advisory => Verdict::Warning,
        Level::Required | Level::Ask => Verdict::Fault(class),
    }
}

fn remedy(unknown: Unknown) -> String {
    let what = match unknown {
        Unknown::Empty => {
            "see whether the query, or the pointer, finds something there when a release runs"
        }
        Unknown::Nan => "write the query so that it has a number, for example with `or vector(0)`",
        Unknown::Several => {
            "write the query so that it finds one series, for example with max(…) or sum(…)"
        }
        Unknown::Unreachable => {
            "correct the url, open the way from here, or give credentials (auth, headers) and a certificate that are good there"
        }
        Unknown::Timeout => "make the answer quicker, or the timeout of the check longer",
        Unknown::WrongType => {
            "compare url, query, pointer and condition with what the endpoint answers"
        }
    };
    format!("{what}; on_{unknown} says what a release makes of it")
}
