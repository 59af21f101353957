-- Which journal this is, chosen once: what is marked in Materialize says whose it is.
CREATE TABLE journal (id TEXT NOT NULL);
INSERT INTO journal VALUES (md5(random()::text || clock_timestamp()::text));
