select * from {{ ref('ledger') }} where {{ wrap('balance') }} < 0
