select 2::bigint as id, 'a' as first
