select
    customer_id,
    upper(region) as region
from {{ ref('customers') }}
