-- What tells two leads of one number apart: after a failover or a restore that lost the last of them, the
-- number is given again. Random, made by each lead. NULL: an earlier version led last.
ALTER TABLE leads ADD COLUMN token TEXT;
