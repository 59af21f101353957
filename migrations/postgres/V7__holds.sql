-- What keeps releases of an environment from beginning by themselves (JSON text).
CREATE TABLE holds (
    environment TEXT NOT NULL PRIMARY KEY,
    document    TEXT NOT NULL
);
