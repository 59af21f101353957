select id, origin, balance from {{ ref('accounts') }}
