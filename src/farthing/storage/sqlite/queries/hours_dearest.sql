-- Who spent most from an hour on.
SELECT
    CASE :by
        WHEN 'organisation' THEN organisation
        WHEN 'team' THEN team
        WHEN 'project' THEN project
        WHEN 'key_id' THEN key_id
        WHEN 'user' THEN user
    END AS value
FROM hourly_totals
WHERE hour >= :first
GROUP BY value
HAVING value <> '' AND sum(spent_nanousd) > 0
ORDER BY sum(spent_nanousd) DESC, value
LIMIT :limit
