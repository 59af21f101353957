-- Who is behind it: JSON text with a kind, and what names it. NULL of what was recorded before.
ALTER TABLE events ADD COLUMN subject TEXT;
ALTER TABLE runs ADD COLUMN subject TEXT;
