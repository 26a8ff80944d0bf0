-- The hours of each of some.
SELECT
    CASE :by
        WHEN 'organisation' THEN organisation
        WHEN 'team' THEN team
        WHEN 'project' THEN project
        WHEN 'key_id' THEN key_id
        WHEN 'user' THEN user
    END AS value,
    hour, sum(spent_nanousd), sum(attempts), sum(failed)
FROM hourly_totals
WHERE hour >= :first AND value IN (SELECT value FROM json_each(:values))
GROUP BY value, hour
ORDER BY value, hour
