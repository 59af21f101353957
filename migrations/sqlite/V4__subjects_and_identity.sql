-- Who is behind it: JSON text with a kind, and what names it. NULL of what was recorded before.
ALTER TABLE events ADD COLUMN subject TEXT;
ALTER TABLE runs ADD COLUMN subject TEXT;

-- Which journal this is, chosen once: what is marked in Materialize says whose it is.
CREATE TABLE journal (id TEXT NOT NULL);
INSERT INTO journal VALUES (lower(hex(randomblob(16))));
