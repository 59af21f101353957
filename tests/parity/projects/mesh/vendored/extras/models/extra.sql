select {{ extras_only('model') }} as origin
