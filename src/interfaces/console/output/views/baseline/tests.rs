use super::{BaselineLive, BaselineView, ExportView, ImportView, PointerView};
use crate::adapters::artifacts::document::{Kind, Metadata, Reason, RecordedObject};
use crate::adapters::artifacts::drift::{Change, Drift};
use crate::domain::catalog::ObjectKind;
use crate::interfaces::console::output::{Page, View};
use insta::assert_snapshot;
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).expect("a time")
}

fn page() -> Page {
    Page {
        verbose: false,
        now: at(7_500),
    }
}

fn pointer(generation: u64, deployment: Option<&str>, reason: Reason) -> PointerView {
    PointerView {
        generation,
        deployment: deployment.map(str::to_owned),
        previous: (generation > 1).then(|| "import-1".to_owned()),
        reason,
        at: at(0),
    }
}

fn metadata() -> Metadata {
    Metadata {
        version: 1,
        deployment: "0198c3f2".to_owned(),
        kind: Kind::Promoted,
        environment: "prod\u{1b}".to_owned(),
        project: "shop".to_owned(),
        target: "production".to_owned(),
        database: "materialize".to_owned(),
        server: None,
        cutover_version: "0.1.0".to_owned(),
        manifest_hash: "abc".to_owned(),
        built_by: None,
        created_at: at(0),
        schemas: vec!["marts".to_owned(), "staging".to_owned()],
        held_back: std::collections::BTreeMap::new(),
        held_back_schemas: std::collections::BTreeMap::new(),
        objects: vec![RecordedObject {
            schema: "marts".to_owned(),
            name: "orders".to_owned(),
            id: "u1".to_owned(),
            kind: ObjectKind::View,
            beside: false,
            given: None,
        }],
    }
}

fn view(drift: Option<Vec<Drift>>) -> BaselineView {
    BaselineView {
        project: "shop".to_owned(),
        environment: "prod\u{1b}".to_owned(),
        store: "s3://bucket/cutover".to_owned(),
        live: Some(BaselineLive {
            metadata: metadata(),
            nodes: 12,
            results: None,
            drift_unknown: drift.is_none().then(|| "nobody answers".to_owned()),
            drift,
        }),
        history: vec![
            pointer(2, Some("0198c3f2"), Reason::Promoted),
            pointer(1, Some("import-1"), Reason::Imported),
        ],
    }
}

#[test]
fn a_baseline_reads_well() {
    let drift = |name: &str, change| Drift {
        schema: "marts".to_owned(),
        name: name.to_owned(),
        kind: ObjectKind::View,
        change,
    };
    let mut drifts = vec![drift(
        "orders",
        Change::Recreated {
            recorded: "u1".to_owned(),
            found: "u9".to_owned(),
        },
    )];
    drifts.extend((0..20).map(|n| {
        let found = format!("u{n}");
        drift(&format!("n{n}"), Change::Extra { found })
    }));
    let nothing = BaselineView {
        live: None,
        history: vec![pointer(3, None, Reason::RolledBack)],
        ..view(None)
    };
    let never = BaselineView {
        history: Vec::new(),
        ..nothing.clone()
    };
    let imported = ImportView {
        pointer: pointer(1, Some("0198c3f2"), Reason::Imported),
        nodes: 12,
        metadata: metadata(),
    };
    let exported = ExportView {
        deployment: "0198c3f2".to_owned(),
        files: vec!["state/manifest.json".into()],
    };
    let shown = [
        view(Some(Vec::new())).text(page()),
        view(Some(drifts)).text(page()),
        view(None).text(page()),
        nothing.text(page()),
        never.text(page()),
        imported.text(page()),
        exported.text(page()),
    ];
    assert_snapshot!(shown.join("----\n"));
}
