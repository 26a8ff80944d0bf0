-- Days on which {table} and the sums by everything do not add up to the same.
SELECT coalesce(kept.day, again.day) AS day, kept.attempts, again.attempts, kept.cost, again.cost
FROM (
    SELECT hour / 24 AS day, sum(attempts) AS attempts, sum(cost_nanousd) AS cost,
        sum(input_tokens::numeric + output_tokens) AS tokens
    FROM {table} GROUP BY 1
) AS kept
FULL JOIN (
    SELECT hour / 24 AS day, sum(attempts) AS attempts, sum(cost_nanousd) AS cost,
        sum(input_tokens::numeric + output_tokens) AS tokens
    FROM rollups GROUP BY 1
) AS again ON again.day = kept.day
WHERE kept.attempts IS DISTINCT FROM again.attempts OR kept.cost IS DISTINCT FROM again.cost
    OR kept.tokens IS DISTINCT FROM again.tokens
ORDER BY 1
LIMIT 5
