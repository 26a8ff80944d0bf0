-- What a scope spent, hour by hour, from the lines themselves, and of those that are gone; `history.py`
-- puts in its conditions.
SELECT started_at_us / 3600000000 AS hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts), sum(provider_failures)
FROM all_sums
WHERE started_at_us >= :first * 3600000000 AND started_at_us < :last * 3600000000
    AND {conditions}
GROUP BY hour
ORDER BY hour
