select
    c.region,
    sum(o.refunded_cents) as refunded_cents
from {{ ref('orders') }} as o
join {{ ref('stg_customers') }} as c on c.customer_id = o.customer_id
group by c.region
