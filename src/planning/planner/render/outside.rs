//! What a plan says of sinks, sources and connections outside of what is swapped, for both forms.

use super::count;
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::Plan;
use crate::domain::plan::outside::{OutsideLeft, SinkChange, SinkFate};
use crate::domain::plan::refusal::RefusalName;

/// What, what becomes of it, and what follows: one row each, in the order of the release.
pub(super) fn rows(plan: &Plan) -> Vec<[String; 3]> {
    let outside = &plan.outside;
    let makes = outside.makes.iter().map(|make| {
        let cluster = make.cluster.as_deref();
        [
            format!("{} {}", make.kind, make.place),
            "created before the build".to_owned(),
            cluster.map_or_else(String::new, |name| format!("on {name}")),
        ]
    });
    let sinks = outside.sinks.iter().map(sink);
    let left = |left: &OutsideLeft, what: &str, follows: String| {
        let name = format!("{} {}", left.kind, left.place);
        [name, what.to_owned(), follows]
    };
    let drops = outside.drops.iter().map(|it| {
        let what = "dropped with the old side";
        left(it, what, format!("no more {}", it.node))
    });
    let stays = outside.stays.iter().map(|it| {
        let name = match it.kind == ObjectKind::Sink {
            true => RefusalName::SinkDropped,
            false => RefusalName::SourceDropped,
        };
        let what = "not in the project any more, and stays";
        left(it, what, format!("--allow {name} drops it"))
    });
    makes.chain(sinks).chain(drops).chain(stays).collect()
}

fn sink(sink: &SinkChange) -> [String; 3] {
    let reads = &sink.becomes.reads;
    let now = sink.was.as_ref().map(|was| &was.definition.reads);
    let (what, follows) = match (sink.change, now) {
        (SinkFate::Created, _) => (
            format!("created after the swap, reads {reads}"),
            "a snapshot goes out; a rollback drops it",
        ),
        (SinkFate::Repointed, Some(now)) => (
            format!("reads {reads} after the swap, and {now} until then"),
            "no snapshot goes out",
        ),
        (SinkFate::Repointed, None) => (
            format!("reads {reads} after the swap"),
            "no snapshot goes out",
        ),
        (SinkFate::Recreated, _) => (
            format!("dropped and made anew after the swap, reads {reads}"),
            "a new snapshot goes out, and another if it is rolled back",
        ),
    };
    [format!("sink {}", sink.place), what, follows.to_owned()]
}

/// `1 sink created` and the like, for the headline.
pub(super) fn clauses(plan: &Plan) -> Vec<String> {
    let outside = &plan.outside;
    let of = |fate: SinkFate| {
        let sinks = outside.sinks.iter().filter(|sink| sink.change == fate);
        count(sinks.count(), "sink", "sinks")
    };
    let mut clauses = Vec::new();
    let mut say = |number: &str, what: &str| {
        if !number.starts_with("0 ") {
            clauses.push(format!("{number} {what}"));
        }
    };
    let makes = outside.makes.iter();
    let sources = makes
        .clone()
        .filter(|make| make.kind != ObjectKind::Connection)
        .count();
    let connections = makes.count() - sources;
    say(&count(sources, "source", "sources"), "created");
    say(&count(connections, "connection", "connections"), "created");
    say(&of(SinkFate::Created), "created");
    say(&of(SinkFate::Repointed), "given another relation");
    say(&of(SinkFate::Recreated), "made anew with a snapshot");
    let dropped = count(outside.drops.len(), "object outside", "objects outside");
    say(&dropped, "dropped");
    clauses
}

/// Columns whose change a sink may stall on, one sentence each.
pub(super) fn columns(plan: &Plan) -> Vec<String> {
    let columns = plan.outside.columns.iter();
    columns.map(ToString::to_string).collect()
}
