-- Somebody wanted more of a window than was left.
INSERT INTO window_wants (window_id, wanted_us, wanted_by) VALUES (:window, :now, :holder)
ON CONFLICT (window_id) DO UPDATE SET wanted_us = excluded.wanted_us, wanted_by = excluded.wanted_by
