#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::*;

fn wanted(clusters: &[&str], schemas: &[&str]) -> Deployment {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Deployment {
        clusters: names(clusters),
        schemas: names(schemas),
    }
}

fn keys(target: &str) -> Vec<String> {
    ["vars", "deployment", target].map(str::to_owned).to_vec()
}

/// Edits, and makes sure that what is read is what was wanted.
#[track_caller]
fn edited(text: &str, wanted: &Deployment) -> String {
    let after = Lines::of(text).with(&keys("prod"), wanted).unwrap();
    let read = |text: &str| serde_yaml::from_str::<Option<Mapping>>(text).unwrap();
    let (before, read) = (read(text).unwrap_or_default(), read(&after).unwrap());
    assert!(
        says_the_same_but_for(&before, &read, &keys("prod")),
        "{after}"
    );
    let entry = &read["vars"]["deployment"]["prod"];
    for (list, names) in [("clusters", &wanted.clusters), ("schemas", &wanted.schemas)] {
        let read: Vec<&str> = entry[list]
            .as_sequence()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        let (mut read, mut names) = (read, names.iter().map(String::as_str).collect::<Vec<_>>());
        read.sort_unstable();
        names.sort_unstable();
        assert_eq!(read, names, "{after}");
    }
    after
}

#[test]
fn an_entry_is_put_where_there_is_none() {
    let lists = wanted(&["compute"], &["marts", "yes"]);
    insta::assert_snapshot!(edited("name: shop\n\n# the models\nmodels: {}\n", &lists), @r#"
    name: shop

    # the models
    models: {}

    vars:
      deployment:
        prod:
          clusters:
            - compute
          schemas:
            - marts
            - "yes"
    "#);
    let text = "vars:   # of all\n    # the country\n    country: fr # or de\n\n# what follows\nseeds: {}\n";
    insta::assert_snapshot!(edited(text, &lists), @r#"
    vars:   # of all
        # the country
        country: fr # or de
        deployment:
          prod:
            clusters:
              - compute
            schemas:
              - marts
              - "yes"

    # what follows
    seeds: {}
    "#);
    for text in [
        "",
        "vars:\n",
        "vars: {}\n",
        "vars: # none\nname: x",
        "vars:\n  deployment: {}\n",
        "vars:\r\n  a: 1\r\nname: x\r\n",
    ] {
        edited(text, &lists);
    }
}

#[test]
fn another_target_and_what_is_beside_it_stay() {
    let text = "vars:\n  deployment:\n    # the small one\n    dev:\n      clusters: [small]   # one\n      schemas:\n      - dev_marts\n  other: 1\n";
    insta::assert_snapshot!(edited(text, &wanted(&[], &["marts"])), @r"
    vars:
      deployment:
        # the small one
        dev:
          clusters: [small]   # one
          schemas:
          - dev_marts
        prod:
          clusters: []
          schemas:
            - marts
      other: 1
    ");
}

#[test]
fn lists_that_are_there_keep_their_order_and_comments() {
    let text = "vars:\n  deployment:\n    prod:\n      # what serves\n      schemas:\n        - 'zebra' # first\n        # gone soon\n        - gone\n        - marts\n      clusters: [b, a] # two\nname: x\n";
    insta::assert_snapshot!(edited(text, &wanted(&["a", "c", "b"], &["marts", "new", "zebra"])), @r"
    vars:
      deployment:
        prod:
          # what serves
          schemas:
            - 'zebra' # first
            # gone soon
            - marts
            - new
          clusters: [b, a, c] # two
    name: x
    ");
    edited(text, &wanted(&[], &[]));
    let flow = "vars:\n  deployment:\n    prod: {clusters: [a], schemas: [b]} # short\n";
    insta::assert_snapshot!(edited(flow, &wanted(&["a"], &["b", "c"])), @r"
    vars:
      deployment:
        prod: {clusters: [a], schemas: [b, c]} # short
    ");
    edited(
        "vars:\n  deployment:\n    prod:\n      clusters: null\n      schemas:\n",
        &wanted(&["a"], &["b"]),
    );
    edited(
        "vars:\n  deployment:\n    prod:\n    dev: {}\n",
        &wanted(&["a"], &["b"]),
    );
}

#[test]
fn what_lines_do_not_show_is_left_alone() {
    for text in [
        "vars: {deployment: {}}\n",
        "vars:\n  deployment: &all {dev: {}}\n",
        "vars:\n  deployment:\n    prod: *all\n",
        "vars:\n  deployment:\n    prod:\n      schemas: [a,\n        b]\n",
        "vars:\n  deployment:\n    prod:\n      schemas: [\"{{ env_var('S') }}\"]\n",
        "vars:\n  deployment:\n    prod:\n      schemas:\n      - \"{{ env_var('S') }}\"\n",
    ] {
        let edited = Lines::of(text).with(&keys("prod"), &wanted(&["a"], &["b"]));
        assert!(edited.is_err(), "{text}: {edited:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(vars:|deployment:|prod:|schemas:|  |[ \\n:a\"'#{}\\[\\]-]|\\PC){0,40}") {
        let _ = Lines::of(&text).with(&keys("prod"), &wanted(&["a"], &["b"]));
    }
}
