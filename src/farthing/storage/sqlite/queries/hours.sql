-- What a scope spent, hour by hour, from the sums.
SELECT hour, sum(spent_nanousd), sum(attempts), sum(failed)
FROM hourly_totals
WHERE hour >= :first AND hour < :last
    AND (:organisation IS NULL OR organisation = :organisation)
    AND (:team IS NULL OR team = :team)
    AND (:project IS NULL OR project = :project)
    AND (:key_id IS NULL OR key_id = :key_id)
    AND (:user IS NULL OR user = :user)
GROUP BY hour
ORDER BY hour
