-- What a process used of a window in its sub-windows, said anew; and what is dated later than now counts as now.
INSERT INTO window_counts (window_id, holder, sub_window, amount, leaves_us)
SELECT $1, $2, told.sub_window, told.amount, least(told.leaves_us, $6)
FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS told (sub_window, amount, leaves_us)
ON CONFLICT (window_id, holder, sub_window) DO UPDATE SET amount = excluded.amount, leaves_us = excluded.leaves_us
