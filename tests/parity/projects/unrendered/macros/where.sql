{% macro cluster_for() %}{{ env_var('PARITY_CLUSTER', 'compute') }}{% endmacro %}
