select 1 from {{ ref('revenue') }} r, {{ ref('stg_payments') }} p where r.total < p.amount
