{% macro shared(value) %}'mesh {{ value }}'{% endmacro %}

{% macro announce(what) %}{{ log_line(what) }}{% endmacro %}

{% macro log_line(what) %}select '{{ what }}'{% endmacro %}

{% macro wrap(column) %}{{ toolkit.outer_helper(column) }}{% endmacro %}

{% macro pre_step() %}{{ announce('pre') }}{% endmacro %}

{% macro apply_to(fn, column) %}{{ fn(column) }}{% endmacro %}

{% macro passed(column) %}lower({{ column }}){% endmacro %}
