select {{ toolkit.first_of_cycle(2) }} as n
