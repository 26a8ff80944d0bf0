-- What a process used of a window in a sub-window, said anew.
INSERT INTO window_counts (window_id, holder, sub_window, amount, leaves_us)
VALUES (:window, :holder, :sub_window, :amount, :leaves)
ON CONFLICT (window_id, holder, sub_window) DO UPDATE SET amount = excluded.amount, leaves_us = excluded.leaves_us
