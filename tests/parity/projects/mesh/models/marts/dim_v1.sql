select id from {{ ref('accounts') }}
