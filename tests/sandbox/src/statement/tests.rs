//! Unit tests of the statement parser.

use super::*;

fn ddl(text: &str) -> Ddl {
    match parse(text).unwrap() {
        Statement::Ddl(ddl) => *ddl,
        other => panic!("{other:?}"),
    }
}

#[test]
fn swap_and_rename_are_transactional() {
    assert!(ddl("ALTER SCHEMA p SWAP WITH \"P\"").is_transactional());
    assert!(ddl("ALTER SCHEMA ctl.gen_1 RENAME TO gen_2").is_transactional());
    assert!(!ddl("COMMENT ON SCHEMA p IS NULL").is_transactional());
}

#[test]
fn materialized_view_with_options() {
    let Ddl::CreateView(view) = ddl(
        "create materialized view \"m\".\"o\".\"mv\" in cluster c\nwith (assert not null a, retain history for '1h') as ( select 1 )",
    ) else {
        panic!()
    };
    assert_eq!(view.name, ["m", "o", "mv"]);
    assert_eq!(view.not_null, ["a"]);
    assert_eq!(view.query, "( select 1 )");
    assert_eq!(view.cluster.as_deref(), Some("c"));
}

#[test]
fn clusters() {
    let Ddl::CreateCluster { options, .. } = ddl(
        "CREATE CLUSTER k REPLICAS (\"r 1\" (SIZE '25cc'), b (SIZE = '50cc', AVAILABILITY ZONE 'a'))",
    ) else {
        panic!()
    };
    assert_eq!(options.replicas.unwrap().len(), 2);
    let Ddl::CreateCluster { options, .. } = ddl(
        "CREATE CLUSTER k (SIZE = '25cc', INTROSPECTION INTERVAL = '5s', AUTO SCALING STRATEGY = (ON HYDRATION (HYDRATION SIZE = '50cc', LINGER DURATION = '1m')))",
    ) else {
        panic!()
    };
    assert_eq!(options.introspection_interval.as_deref(), Some("00:00:05"));
    assert_eq!(
        options.auto_scaling.unwrap(),
        "{\"on_hydration\": {\"hydration_size\": \"50cc\", \"linger_duration\": {\"nanos\":0,\"secs\":60}}}"
    );
    assert_eq!(parse("CREATE CLUSTER c_bad").unwrap_err().code, "42601");
}

#[test]
fn grants() {
    assert!(matches!(
        ddl("GRANT SELECT ON op.v TO reader"),
        Ddl::Privileges {
            on: GrantOn::Named(Thing::Relation, _),
            ..
        }
    ));
    assert!(matches!(
        ddl("GRANT USAGE ON SCHEMA g TO PUBLIC"),
        Ddl::Privileges {
            on: GrantOn::Named(Thing::Schema, _),
            ..
        }
    ));
    assert!(matches!(
        ddl("REVOKE ALL ON op.v FROM reader"),
        Ddl::Privileges {
            modes: None,
            grant: false,
            ..
        }
    ));
    assert!(matches!(
        ddl("GRANT SELECT ON ALL TABLES IN SCHEMA op TO reader"),
        Ddl::Privileges {
            on: GrantOn::AllInSchemas(..),
            ..
        }
    ));
    assert!(matches!(
        ddl("GRANT dev TO materialize"),
        Ddl::Membership { grant: true, .. }
    ));
    assert_eq!(
        parse("ALTER DEFAULT PRIVILEGES IN SCHEMA op GRANT SELECT ON TABLES TO reader")
            .unwrap_err()
            .message,
        "Expected FOR, found IN"
    );
}

#[test]
fn session_statements() {
    assert_eq!(
        parse("SET search_path = a, b").unwrap(),
        Statement::Set {
            name: "search_path".into(),
            value: Some("a, b".into()),
            local: false
        }
    );
    assert_eq!(
        parse("FETCH ALL c WITH (timeout = '1s')").unwrap(),
        Statement::Fetch {
            name: "c".into(),
            count: None,
            timeout_ms: Some(1000)
        }
    );
    assert!(matches!(
        parse("DECLARE c CURSOR FOR SUBSCRIBE (SELECT 1)").unwrap(),
        Statement::Declare {
            subscribe: true,
            progress: false,
            ..
        }
    ));
    assert!(matches!(
        parse("DECLARE c CURSOR FOR SUBSCRIBE (SELECT 1) WITH (PROGRESS)").unwrap(),
        Statement::Declare { progress: true, .. }
    ));
    assert_eq!(parse("SELEC 1").unwrap_err().code, "42601");
}

#[test]
fn replacements() {
    let Ddl::CreateView(view) = ddl(
        "CREATE REPLACEMENT MATERIALIZED VIEW s.\"R\" (a) FOR s.mv IN CLUSTER c WITH (ASSERT NOT NULL a) AS SELECT 1",
    ) else {
        panic!()
    };
    assert!(view.materialized);
    assert_eq!(view.name, ["s", "R"]);
    assert_eq!(view.replaces.unwrap(), ["s", "mv"]);
    assert_eq!(view.columns, ["a"]);
    assert_eq!(view.cluster.as_deref(), Some("c"));
    let Ddl::ApplyReplacement { replacement, .. } =
        ddl("ALTER MATERIALIZED VIEW s.mv APPLY REPLACEMENT s.\"R\"")
    else {
        panic!()
    };
    assert_eq!(replacement, ["s", "R"]);
    for text in [
        "CREATE REPLACEMENT MATERIALIZED VIEW r AS SELECT 1",
        "CREATE REPLACEMENT VIEW r FOR v AS SELECT 1",
        "ALTER MATERIALIZED VIEW mv APPLY REPLACEMENT",
    ] {
        assert_eq!(parse(text).unwrap_err().code, "42601", "{text}");
    }
}
