{{ config(meta={'level': var('level'), 'flag': true, 'nested': {'deep': 'yes'}, 'list': ['a', 'b']}, tags=['special'], cluster=env_var('PARITY_CLUSTER', 'compute')) }}
select '{{ suffix() }}' as level, {{ var('lookback') }} as lookback from {{ ref('m_2_0') }}
