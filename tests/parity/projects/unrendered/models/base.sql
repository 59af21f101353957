{{ config(meta={'flavour': var('flavour')}, alias='base_' ~ target.name) }}
select * from {{ source('feed', 'items') }}
