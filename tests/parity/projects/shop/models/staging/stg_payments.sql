select id, order_id, amount, '{{ var("currency") }}' as currency from {{ source('raw', 'payments') }}
