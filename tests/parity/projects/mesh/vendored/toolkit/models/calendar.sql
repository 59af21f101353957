select date '{{ var("calendar_start") }}' as day, {{ shared('calendar') }} as origin
