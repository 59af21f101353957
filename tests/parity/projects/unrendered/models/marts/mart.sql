{{ config(materialized='materialized_view' if target.name == 'prod' else 'view', cluster=cluster_for(), post_hook="select '{{ target.name }}'") }}
select * from {{ ref('base') }} join {{ ref('codes') }} using (id)
