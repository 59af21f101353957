{% macro label(value) %}{{ return(adapter.dispatch('label', 'toolkit')(value)) }}{% endmacro %}

{% macro default__label(value) %}'toolkit:{{ value }}'{% endmacro %}

{% macro outer_helper(column) %}coalesce({{ toolkit.inner_helper(column) }}, 0){% endmacro %}

{% macro inner_helper(column) %}nullif({{ toolkit.deepest(column) }}, 0){% endmacro %}

{% macro deepest(column) %}{{ column }}::numeric{% endmacro %}

{% macro shared(value) %}'toolkit {{ value }}'{% endmacro %}

{% macro first_of_cycle(n) %}{% if n > 0 %}{{ toolkit.second_of_cycle(n - 1) }}{% endif %}1{% endmacro %}

{% macro second_of_cycle(n) %}{% if n > 0 %}{{ toolkit.first_of_cycle(n - 1) }}{% endif %}2{% endmacro %}
