-- The journal of deployments. Migrations go forward only and are never edited once released: the
-- checksum of what was applied is compared at every start. They run with the journal's schema as
-- the search path.
-- Timestamps are RFC 3339, UTC, milliseconds. Documents (plan, request, body, intent, result) are
-- JSON text, kept as it was written: JSON types refuse characters that text documents may hold.

CREATE TABLE deployments (
    -- The order in which deployments were created; ids do not order when a clock is set back.
    number      BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    COLLATE "C" NOT NULL UNIQUE,
    environment TEXT    COLLATE "C" NOT NULL,
    state       TEXT    NOT NULL,
    active      BOOLEAN NOT NULL,
    attempt     BIGINT  NOT NULL CHECK (attempt >= 1),
    plan        TEXT    NOT NULL,
    request     TEXT    NOT NULL,
    reason      TEXT,
    created_at  TEXT    NOT NULL,
    updated_at  TEXT    NOT NULL,
    finished_at TEXT,
    CHECK ((finished_at IS NULL) = active)
);

-- One active deployment per environment.
CREATE UNIQUE INDEX deployments_active ON deployments (environment) WHERE active;
CREATE INDEX deployments_history ON deployments (environment, number);

-- What happened, in order. Rows are added and never changed.
CREATE TABLE events (
    deployment_id TEXT   COLLATE "C" NOT NULL REFERENCES deployments (id),
    seq           BIGINT NOT NULL CHECK (seq >= 1),
    at            TEXT   NOT NULL,
    kind          TEXT   NOT NULL,
    body          TEXT   NOT NULL,
    state_after   TEXT   NOT NULL,
    PRIMARY KEY (deployment_id, seq)
);

-- What was about to be done to the world, written before it was done, and what came of it.
CREATE TABLE effects (
    number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id TEXT   COLLATE "C" NOT NULL REFERENCES deployments (id),
    key           TEXT   COLLATE "C" NOT NULL,
    attempt       BIGINT NOT NULL CHECK (attempt >= 1),
    intent        TEXT   NOT NULL,
    started_at    TEXT   NOT NULL,
    result        TEXT,
    finished_at   TEXT,
    UNIQUE (deployment_id, key),
    CHECK ((result IS NULL) = (finished_at IS NULL))
);

-- Who led an environment last. The lead itself is an advisory lock; the epoch grows whenever it is
-- taken, and every write compares it, so that one who lost the lead unawares changes nothing.
CREATE TABLE leads (
    environment TEXT   COLLATE "C" PRIMARY KEY,
    epoch       BIGINT NOT NULL CHECK (epoch >= 1),
    host        TEXT   NOT NULL,
    pid         BIGINT NOT NULL,
    since       TEXT   NOT NULL
);
