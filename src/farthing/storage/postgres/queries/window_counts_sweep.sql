-- The same of windows that nobody asks about any more; what another host is at is left to that.
DELETE FROM window_counts
WHERE (window_id, holder, sub_window) IN (
    SELECT window_id, holder, sub_window FROM window_counts WHERE leaves_us <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED
)
