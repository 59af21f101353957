-- Servers from v26.34 on.
CREATE VIEW mz_internal.mz_cluster_auto_scaling_strategies AS SELECT id AS cluster_id, auto_scaling AS strategy FROM mz_base.clusters WHERE auto_scaling IS NOT NULL;
