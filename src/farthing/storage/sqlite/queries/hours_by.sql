-- The hours of each of some; `history.py` puts in by what, and where the sums are read from.
SELECT
    {by} AS value, started_at_us / 3600000000 AS hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts.attempts),
    sum(provider_failures)
FROM {source}
WHERE value IN (SELECT value FROM json_each(:values))
GROUP BY value, hour
HAVING sum(attempts.attempts) > 0
ORDER BY value, hour
