{{ config(materialized='sink', cluster='sinks') }}
from {{ ref('orders') }} into kafka connection kafka (topic 'orders') format json
