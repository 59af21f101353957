{{ config(materialized='materialized_view', post_hook="{{ grant_read('reader') }}") }}
select region, sum(amount) as total from {{ ref('orders') }} group by region
