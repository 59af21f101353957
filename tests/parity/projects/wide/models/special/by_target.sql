{{ config(materialized='materialized_view' if target.name == 'prod' else 'view', database=target.database) }}
select * from {{ ref('configured') }} where 1 = 1
