select * from {{ source('platform', 'events') }}
