select id, customer_id, {{ cents('amount') }} as amount, region_id
from {{ source('raw', 'orders') }}
