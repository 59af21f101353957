{% macro cents(column) %}({{ round_half(column) }} * 100)::bigint{% endmacro %}

{% macro round_half(column) %}round({{ column }}, 2){% endmacro %}

{% macro unused(column) %}{{ column }}{% endmacro %}
