-- Leases of others that ended count as used at their end, where the window slides.
INSERT INTO window_counts (window_id, holder, sub_window, amount, leaves_us)
SELECT
    window_id,
    holder || ' (gone)',
    until_us / ((window_us + :parts - 1) / :parts),
    amount,
    (until_us / ((window_us + :parts - 1) / :parts) + 1) * ((window_us + :parts - 1) / :parts) + window_us
FROM window_leases
WHERE until_us <= :now AND holder <> :holder AND window_us > 0 AND amount > 0
ON CONFLICT (window_id, holder, sub_window) DO UPDATE SET amount = amount + excluded.amount
