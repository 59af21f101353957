{{ config(materialized='materialized_view', pre_hook="{{ pre_step() }}", post_hook=["select 1", "{{ toolkit.label('done') }}"]) }}
select a.id, a.balance, a.origin from {{ ref('accounts') }} a
