select d.id, l.id as latest from {{ ref('dim', v=1) }} d, {{ ref('dim') }} l, {{ ref('calendar') }}
