-- Before they are made anew from the attempts, in the same transaction.
DELETE FROM daily_totals
