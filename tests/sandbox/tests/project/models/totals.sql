{{ config(materialized='materialized_view', indexes=[{'columns': ['customer'], 'name': 'totals_by_customer'}, {'default': True}]) }}
select customer, sum(amount) as total, count(*) as orders from {{ ref('orders_clean') }} group by customer
