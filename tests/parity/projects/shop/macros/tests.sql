{% test in_range(model, column_name, low=0, high=100) %}
select * from {{ model }} where {{ column_name }} < {{ low }} or {{ column_name }} > {{ high }}
{% endtest %}

{% test same_count(model, other) %}
select 1 from {{ model }} full join {{ other }} on true where false
{% endtest %}
