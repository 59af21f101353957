-- What the daemon keeps beside the deployments. Timestamps and documents as in the first migration.

-- Each time the daemon set out to release an environment, also when nothing came of it.
CREATE TABLE runs (
    number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT   COLLATE "C" NOT NULL UNIQUE,
    environment   TEXT   COLLATE "C" NOT NULL,
    cause         TEXT   NOT NULL,
    scheduled_for TEXT   COLLATE "C",
    revision      TEXT,
    started_at    TEXT   NOT NULL,
    finished_at   TEXT   COLLATE "C",
    outcome       TEXT,
    -- Not a reference: a run may outlive its deployment.
    deployment    TEXT   COLLATE "C",
    detail        TEXT,
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
);

CREATE INDEX runs_history ON runs (environment, number);
CREATE INDEX runs_open ON runs (environment) WHERE finished_at IS NULL;
CREATE INDEX runs_scheduled ON runs (environment, scheduled_for) WHERE scheduled_for IS NOT NULL;

-- What others are to be told: written with what it tells of, so that neither is without the other.
CREATE TABLE outbox (
    number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT   COLLATE "C" NOT NULL UNIQUE,
    kind          TEXT   NOT NULL,
    environment   TEXT   COLLATE "C" NOT NULL,
    deployment_id TEXT   COLLATE "C",
    body          TEXT   NOT NULL,
    created_at    TEXT   COLLATE "C" NOT NULL
);

CREATE INDEX outbox_order ON outbox (environment, number);
CREATE INDEX outbox_deployment ON outbox (deployment_id) WHERE deployment_id IS NOT NULL;

-- How far each target is with a message. Without a row it was not tried; one that is neither
-- delivered nor has a next time is given up.
CREATE TABLE deliveries (
    outbox_number BIGINT NOT NULL REFERENCES outbox (number),
    target        TEXT   COLLATE "C" NOT NULL,
    attempts      BIGINT NOT NULL CHECK (attempts >= 1),
    next_at       TEXT   COLLATE "C",
    last_error    TEXT,
    delivered_at  TEXT,
    PRIMARY KEY (outbox_number, target),
    CHECK (delivered_at IS NULL OR next_at IS NULL)
);

-- What was answered to a request that may be sent again.
CREATE TABLE requests (
    environment TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT NOT NULL,
    answer      TEXT NOT NULL,
    at          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (environment, key)
);

-- Where the leader answers, and when its process was last seen alive by the clock of this server:
-- the lock of one that is not seen any more is taken from it.
ALTER TABLE leads ADD COLUMN address TEXT;
ALTER TABLE leads ADD COLUMN seen_at TIMESTAMPTZ;
