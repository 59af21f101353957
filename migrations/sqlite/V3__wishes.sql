-- What was wished of a run that was accepted before it began: whoever leads next makes it again from
-- this, when the process that accepted it ended before there was a deployment. JSON text.
ALTER TABLE runs ADD COLUMN wishes TEXT;
