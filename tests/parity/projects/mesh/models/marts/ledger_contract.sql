{{ config(materialized='view') }}
select id, balance from {{ ref('ledger') }}
