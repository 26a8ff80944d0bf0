-- Add the rows of a batch, those after :first up to :last, to their hours; see daily_total_add.
INSERT INTO hourly_totals (
    hour, organisation, team, project, key_id, user, provider, attempts, failed, spent_nanousd
)
SELECT
    started_at_us / 3600000000, organisation, coalesce(team, ''), coalesce(project, ''), key_id, coalesce(user, ''),
    provider, count(*),
    sum(
        outcome IN ('provider_cut', 'unreachable', 'timeout')
            OR (outcome = 'provider_error' AND coalesce(http_status, 0) NOT IN (SELECT value FROM json_each(:clients)))
    ),
    sum(coalesce(cost_nanousd, held_nanousd, 0))
FROM attempts
WHERE rowid > :first AND rowid <= :last
GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (hour, organisation, team, project, key_id, user, provider) DO UPDATE SET
    attempts = min(attempts + excluded.attempts, 9223372036854775807),
    failed = min(failed + excluded.failed, 9223372036854775807),
    spent_nanousd = min(spent_nanousd + excluded.spent_nanousd, 9223372036854775807)
