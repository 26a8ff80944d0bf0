-- What a process has leased of a window.
INSERT INTO window_leases (window_id, holder, window_us, amount, until_us) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (window_id, holder) DO UPDATE SET amount = excluded.amount, until_us = excluded.until_us
