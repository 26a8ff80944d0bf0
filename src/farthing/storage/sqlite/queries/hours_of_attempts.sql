-- What a scope spent, hour by hour, from the lines themselves, and of those that are gone.
SELECT started_at_us / 3600000000 AS hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts), sum(provider_failures)
FROM all_sums
WHERE started_at_us >= :first * 3600000000 AND started_at_us < :last * 3600000000
    AND (:organisation IS NULL OR organisation = :organisation)
    AND (:team IS NULL OR team = :team)
    AND (:project IS NULL OR project = :project)
    AND (:key_id IS NULL OR key_id = :key_id)
    AND (:user IS NULL OR user = :user)
    AND (:session IS NULL OR session = :session)
    AND (:task IS NULL OR task = :task)
    AND (:tag IS NULL OR instr(
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',', ',' || :tag || ','
    ) > 0)
GROUP BY hour
ORDER BY hour
