-- What was spent with one key, ever.
SELECT
    coalesce(sum(attempts), 0)::bigint, coalesce(sum(unknown_cost_attempts), 0)::bigint,
    coalesce(sum(estimated_attempts), 0)::bigint, coalesce(sum(cost_nanousd), 0)::bigint
FROM daily_totals
WHERE key_id = $1
