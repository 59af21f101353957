{{ config(tags=['people'], meta={'owner': 'crm', 'level': 1}) }}
select id, name from {{ source('raw', 'customers') }}
