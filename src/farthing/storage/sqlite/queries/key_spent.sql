-- What was spent with one key, ever.
SELECT
    coalesce(sum(attempts), 0), coalesce(sum(unknown_cost_attempts), 0), coalesce(sum(estimated_attempts), 0),
    coalesce(sum(cost_nanousd), 0)
FROM daily_totals
WHERE key_id = ?
