{{ config(
    materialized='view',
    indexes=[{'columns': ['customer_id'], 'cluster': 'shop_serving'}]
) }}

select customer_id, region, net_cents
from {{ ref('orders_by_customer') }}
where net_cents > 50000
