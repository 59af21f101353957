-- The same orders, summed along two ways, must give the same revenue.
with regions as (
    select sum(net_cents) as net_cents from {{ ref('revenue_by_region') }}
), customers as (
    select sum(net_cents) as net_cents from {{ ref('orders_by_customer') }}
)
select regions.net_cents as by_region, customers.net_cents as by_customer
from regions, customers
where regions.net_cents <> customers.net_cents
