{{ config(materialized='materialized_view', cluster='shop_compute') }}

select
    c.customer_id,
    c.region,
    count(*) as orders,
    sum(o.net_cents) as net_cents
from {{ ref('stg_orders') }} as o
join {{ ref('stg_customers') }} as c on c.customer_id = o.customer_id
group by c.customer_id, c.region
