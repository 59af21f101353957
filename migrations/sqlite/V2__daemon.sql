-- What the daemon keeps beside the deployments. Timestamps and documents as in the first migration.

-- Each time the daemon set out to release an environment, also when nothing came of it.
CREATE TABLE runs (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    environment   TEXT    NOT NULL,
    cause         TEXT    NOT NULL,
    scheduled_for TEXT,
    revision      TEXT,
    started_at    TEXT    NOT NULL,
    finished_at   TEXT,
    outcome       TEXT,
    -- Not a reference: a run may outlive its deployment.
    deployment    TEXT,
    detail        TEXT,
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
);

CREATE INDEX runs_history ON runs (environment, number);
CREATE INDEX runs_open ON runs (environment) WHERE finished_at IS NULL;
CREATE INDEX runs_scheduled ON runs (environment, scheduled_for) WHERE scheduled_for IS NOT NULL;

-- What others are to be told: written with what it tells of, so that neither is without the other.
CREATE TABLE outbox (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    kind          TEXT    NOT NULL,
    environment   TEXT    NOT NULL,
    deployment_id TEXT,
    body          TEXT    NOT NULL,
    created_at    TEXT    NOT NULL
);

CREATE INDEX outbox_order ON outbox (environment, number);
CREATE INDEX outbox_deployment ON outbox (deployment_id) WHERE deployment_id IS NOT NULL;

-- How far each target is with a message. Without a row it was not tried; one that is neither
-- delivered nor has a next time is given up.
CREATE TABLE deliveries (
    outbox_number INTEGER NOT NULL REFERENCES outbox (number),
    target        TEXT    NOT NULL,
    attempts      INTEGER NOT NULL CHECK (attempts >= 1),
    next_at       TEXT,
    last_error    TEXT,
    delivered_at  TEXT,
    PRIMARY KEY (outbox_number, target),
    CHECK (delivered_at IS NULL OR next_at IS NULL)
) WITHOUT ROWID;

-- What was answered to a request that may be sent again.
CREATE TABLE requests (
    environment TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer      TEXT NOT NULL,
    at          TEXT NOT NULL,
    PRIMARY KEY (environment, key)
) WITHOUT ROWID;
