{{ config(materialized='materialized_view', alias='account_balances', grants={'select': ['reader']}) }}
select o.id, o.amount - p.amount as balance
from {{ ref('orders') }} o join {{ ref('stg_payments') }} p on p.order_id = o.id
