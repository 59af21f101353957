-- The journal of deployments. Migrations go forward only and are never edited once released: the
-- checksum of what was applied is compared at every start.
-- Timestamps are RFC 3339, UTC, milliseconds. Documents (plan, request, body, intent, result) are
-- JSON text.

CREATE TABLE deployments (
    -- The order in which deployments were created; ids do not order when a clock is set back.
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    environment TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    active      INTEGER NOT NULL CHECK (active IN (0, 1)),
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),
    plan        TEXT    NOT NULL,
    request     TEXT    NOT NULL,
    reason      TEXT,
    created_at  TEXT    NOT NULL,
    updated_at  TEXT    NOT NULL,
    finished_at TEXT,
    CHECK ((finished_at IS NULL) = (active = 1))
);

-- One active deployment per environment.
CREATE UNIQUE INDEX deployments_active ON deployments (environment) WHERE active = 1;
CREATE INDEX deployments_history ON deployments (environment, number);

-- What happened, in order. Rows are added and never changed.
CREATE TABLE events (
    deployment_id TEXT    NOT NULL REFERENCES deployments (id),
    seq           INTEGER NOT NULL CHECK (seq >= 1),
    at            TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    body          TEXT    NOT NULL,
    state_after   TEXT    NOT NULL,
    PRIMARY KEY (deployment_id, seq)
) WITHOUT ROWID;

-- What was about to be done to the world, written before it was done, and what came of it.
CREATE TABLE effects (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    deployment_id TEXT    NOT NULL REFERENCES deployments (id),
    key           TEXT    NOT NULL,
    attempt       INTEGER NOT NULL CHECK (attempt >= 1),
    intent        TEXT    NOT NULL,
    started_at    TEXT    NOT NULL,
    result        TEXT,
    finished_at   TEXT,
    UNIQUE (deployment_id, key),
    CHECK ((result IS NULL) = (finished_at IS NULL))
);
