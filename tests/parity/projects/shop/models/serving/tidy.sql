{{ config(materialized='ephemeral') }}
select currency from {{ ref('rates') }}
