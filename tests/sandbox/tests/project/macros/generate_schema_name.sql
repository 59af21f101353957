{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}{{ "_dbt_deploy" if var('deploy', False) and node.resource_type == 'model' }}
{%- endmacro %}
