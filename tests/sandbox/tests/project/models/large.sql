{{ config(materialized='table', contract={'enforced': true}) }}
select customer, total from {{ ref('totals') }} where total > 7
