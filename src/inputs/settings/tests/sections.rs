use super::{faults, load, span};

#[test]
fn an_environment_has_its_own_source_schedule_and_connection() {
    let text = "source: {url: /srv/shop, ref: main, fetch_timeout: 1m}\n\
                schedule: {cron: '0 2 * * *', time_zone: Europe/Berlin}\n\
                connection: {host: mz, password: 'file:secret'}\n\
                environments:\n  prod: {source: {ref: live}, schedule: {cron: '0 3 * * *'}, connection: {user: me}}\n";
    let merged = load(text).expect("no faults").for_environment(Some("prod"));
    let settings = merged.expect("no faults").settings;
    assert_eq!(settings.source.url.as_deref(), Some("/srv/shop"));
    assert_eq!(settings.source.reference.as_deref(), Some("live"));
    assert_eq!(settings.source.fetch_timeout, Some(span("1m")));
    assert_eq!(settings.schedule.cron.as_deref(), Some("0 3 * * *"));
    assert_eq!(
        settings.schedule.time_zone.as_deref(),
        Some("Europe/Berlin")
    );
    assert_eq!(settings.schedule.max_failures, Some(3));
    assert_eq!(settings.connection.host.as_deref(), Some("mz"));
    assert_eq!(settings.connection.user.as_deref(), Some("me"));
    let shown = load(text).expect("no faults").show();
    assert!(shown.contains("password: file:secret"), "{shown}");
}

#[test]
fn faults_of_source_schedule_and_connection_name_their_keys() {
    let text = "source: {bundle: 's3://me:s3cret@bucket/x', url: 'https://me:s3cret@host/x', ref: a..b, subfolder: ../x, password: s3cret, fetch_timeout: 0s}\n\
                schedule: {cron: '0 0 30 2 *', jitter: 1h, failure_backoff: 7h, max_failures: 0, poll: 0s}\n\
                connection: {host: '{{ host }}', port: 0, password: 4711, sslmode: maybe}\n\
                environments:\n  prod: {schedule: {cron: '*/5 * * * *'}, source: {ref: -x}}\n  next: {schedule: {time_zone: Mars}}\n";
    let found = faults(load(text));
    let said = format!("{found:?}");
    assert!(!said.contains("s3cret") && !said.contains("4711"), "{said}");
    let mut paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "connection.host",
            "connection.password",
            "connection.port",
            "connection.sslmode",
            "environments.next.schedule.failure_backoff",
            "environments.next.schedule.max_failures",
            "environments.next.schedule.poll",
            "environments.next.schedule.time_zone",
            "environments.prod.schedule.failure_backoff",
            "environments.prod.schedule.jitter",
            "environments.prod.schedule.max_failures",
            "environments.prod.schedule.poll",
            "environments.prod.source.ref",
            "schedule.cron",
            "schedule.failure_backoff",
            "schedule.max_failures",
            "schedule.poll",
            "source.bundle",
            "source.fetch_timeout",
            "source.password",
            "source.ref",
            "source.subfolder",
            "source.url",
        ]
    );
}
