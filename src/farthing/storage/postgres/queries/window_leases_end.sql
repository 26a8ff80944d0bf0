-- Leases of others that ended: gone, and counted as used at their end where the window slides.
WITH ended AS (
    DELETE FROM window_leases
    WHERE window_id = ANY($1::text[]) AND until_us <= $2 AND holder <> $3
    RETURNING window_id, holder, amount, window_us, until_us, (window_us + $4 - 1) / $4 AS part_us
)
INSERT INTO window_counts (window_id, holder, sub_window, amount, leaves_us)
SELECT
    window_id, holder || ' (gone)', until_us / part_us, amount, (until_us / part_us + 1) * part_us + window_us
FROM ended
WHERE window_us > 0 AND amount > 0
ON CONFLICT (window_id, holder, sub_window) DO UPDATE SET amount = window_counts.amount + excluded.amount
