{{ config(materialized='materialized_view', indexes=[{'columns': ['id'], 'cluster': 'serving'}]) }}
select o.id, o.amount, c.name, r.name as region
from {{ ref('stg_orders') }} o
join {{ ref('stg_customers') }} c on c.id = o.customer_id
join {{ ref('regions') }} r on r.id = o.region_id
