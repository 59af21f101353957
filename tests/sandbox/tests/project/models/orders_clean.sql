with orders as (select * from {{ source('raw', 'orders') }})
select id, customer, amount from orders
