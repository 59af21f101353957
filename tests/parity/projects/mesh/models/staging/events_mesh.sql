select * from {{ ref('toolkit', 'events') }}
