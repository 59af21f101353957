select {{ apply_to(passed, 'origin') }} as origin from {{ ref('accounts') }}
