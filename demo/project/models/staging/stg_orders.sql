select
    order_id,
    customer_id,
    amount_cents as net_cents
from {{ ref('orders') }}
