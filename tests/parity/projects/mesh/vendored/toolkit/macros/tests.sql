{% test is_positive(model, column_name) %}
select * from {{ model }} where {{ toolkit.outer_helper(column_name) }} <= 0
{% endtest %}
