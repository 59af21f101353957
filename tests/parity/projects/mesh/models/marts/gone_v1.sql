select 1::bigint as id, 'a' as first
