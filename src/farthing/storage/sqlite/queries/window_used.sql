-- What counts in a window, and when it leaves.
SELECT leaves_us, sum(amount) FROM window_counts WHERE window_id = ? GROUP BY leaves_us ORDER BY leaves_us
