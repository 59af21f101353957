{% macro shared(value) %}'extras {{ value }}'{% endmacro %}

{% macro extras_only(value) %}{{ shared(value) }}{% endmacro %}

{% macro materialize__label(value) %}'extras label {{ value }}'{% endmacro %}
