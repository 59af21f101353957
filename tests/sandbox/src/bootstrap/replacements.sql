-- Servers from v26.10 on.
CREATE VIEW mz_internal.mz_replacements AS SELECT id, replaces_id AS target_id FROM mz_base.objects WHERE replaces_id IS NOT NULL;
