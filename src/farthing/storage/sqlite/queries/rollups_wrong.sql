-- Days on which what is rolled up is not what the attempts up to that row, and those that are gone, add up to.
SELECT coalesce(kept.day, again.day) AS day, kept.attempts, again.attempts, kept.cost, again.cost
FROM (
    SELECT hour / 24 AS day, sum(attempts) AS attempts, sum(cost_nanousd) AS cost,
        sum(input_tokens + output_tokens) AS tokens
    FROM rollups GROUP BY 1
) AS kept
FULL JOIN (
    SELECT day, sum(attempts) AS attempts, sum(cost) AS cost, sum(tokens) AS tokens
    FROM (
        SELECT started_at_us / 86400000000 AS day, count(*) AS attempts, coalesce(sum(cost_nanousd), 0) AS cost,
            coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0) AS tokens
        FROM attempts WHERE rowid <= (SELECT rolled_to FROM rollup_state) GROUP BY 1
        UNION ALL
        SELECT started_at_us / 86400000000, attempts, cost_nanousd, input_tokens + output_tokens
        FROM expired_sums
    )
    GROUP BY 1
) AS again ON again.day = kept.day
WHERE kept.attempts IS NOT again.attempts OR kept.cost IS NOT again.cost OR kept.tokens IS NOT again.tokens
ORDER BY 1
LIMIT 5
