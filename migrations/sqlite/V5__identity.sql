-- Which journal this is, chosen once: what is marked in Materialize says whose it is.
CREATE TABLE journal (id TEXT NOT NULL);
INSERT INTO journal VALUES (lower(hex(randomblob(16))));
