-- What production is compared with between releases, and what was found and told (JSON text).
CREATE TABLE drift (
    environment TEXT NOT NULL PRIMARY KEY,
    document    TEXT NOT NULL
);
