{% macro suffix() %}{{ var('level') }}{% endmacro %}
