-- Make the hours from the attempts; nobody else writes them meanwhile.
INSERT INTO hourly_totals
SELECT
    started_at_us / 3600000000, organisation, coalesce(team, ''), coalesce(project, ''), key_id, coalesce("user", ''),
    provider, count(*), count(*) FILTER (WHERE farthing_failed(outcome, http_status)),
    least(sum(coalesce(cost_nanousd, held_nanousd, 0)), 9223372036854775807)
FROM attempts
GROUP BY 1, 2, 3, 4, 5, 6, 7
