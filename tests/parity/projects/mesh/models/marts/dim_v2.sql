select id, origin from {{ ref('accounts') }}
