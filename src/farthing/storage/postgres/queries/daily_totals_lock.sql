-- Batches of other hosts wait until the totals are made anew; whoever reads sees the old ones.
LOCK TABLE daily_totals IN SHARE ROW EXCLUSIVE MODE
