{{ config(tags=['audit']) }}
select * from {{ ref('orders') }} where amount < 0
