-- What a scope spent, hour by hour; `history.py` puts in its conditions, and where the sums are read from.
SELECT
    started_at_us / 3600000000 AS hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts.attempts),
    sum(provider_failures)
FROM {source}
WHERE {conditions}
GROUP BY hour
HAVING sum(attempts.attempts) > 0
ORDER BY hour
