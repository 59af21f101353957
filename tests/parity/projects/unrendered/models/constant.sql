{{
  config(
    materialized='materialized_view',
    cluster='compute',
    tags=["steady"]
  )
}}
select * from {{ ref('base') }}
