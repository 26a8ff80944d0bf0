-- What a scope spent, hour by hour; `history.py` puts in where the sums are read from.
SELECT
    started_at_us / 3600000000 AS hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts.attempts),
    sum(provider_failures)
FROM {source}
WHERE (:organisation IS NULL OR organisation = :organisation)
    AND (:team IS NULL OR team = :team)
    AND (:project IS NULL OR project = :project)
    AND (:key_id IS NULL OR key_id = :key_id)
    AND (:user IS NULL OR user = :user)
GROUP BY hour
HAVING sum(attempts.attempts) > 0
ORDER BY hour
