select id, customer_id, at, amount * {{ factor() }} as amount, status from {{ ref('raw_orders') }}
