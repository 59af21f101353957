{{ config(materialized='view', indexes=[{'default': true}]) }}
select r.*, '{{ var("deploy") }}' as deployed from {{ ref('report') }} r, {{ ref('tidy') }}
