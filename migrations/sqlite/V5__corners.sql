-- Corners of pull requests. What belongs to one, by id, stands in its document (JSON text). Builds that came
-- later write their id into `wanted`; the one under way then ends.
CREATE TABLE corners (
    -- The order in which they were asked for.
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    environment TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    created_at  TEXT    NOT NULL,
    updated_at  TEXT    NOT NULL,
    expires_at  TEXT    NOT NULL,
    ended_at    TEXT,
    wanted      TEXT,
    document    TEXT    NOT NULL,
    CHECK ((ended_at IS NOT NULL) = (state = 'gone'))
);

-- One corner of a name at a time.
CREATE UNIQUE INDEX corners_standing ON corners (environment, name) WHERE state <> 'gone';
