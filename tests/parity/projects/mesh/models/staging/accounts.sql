select 1::bigint as id, {{ shared('accounts') }} as origin, {{ wrap('2') }} as balance
