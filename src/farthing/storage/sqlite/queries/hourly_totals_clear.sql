-- Before they are made anew from the attempts, in the same transaction.
DELETE FROM hourly_totals
