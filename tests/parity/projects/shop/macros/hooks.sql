{% macro grant_read(role) %}grant select on {{ this }} to {{ quoted_role(role) }}{% endmacro %}

{% macro quoted_role(role) %}"{{ role }}"{% endmacro %}
