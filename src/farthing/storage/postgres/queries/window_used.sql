-- What counts in a window, and when it leaves.
SELECT leaves_us, sum(amount)::bigint FROM window_counts WHERE window_id = $1 GROUP BY leaves_us ORDER BY leaves_us
