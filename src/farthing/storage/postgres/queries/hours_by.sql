-- The hours of each of some ($2), from one ($3) on.
SELECT value, hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts), sum(provider_failures)
FROM (
    SELECT
        hour, cost_nanousd, held_nanousd, attempts, provider_failures,
        CASE $1::text
        WHEN 'organisation' THEN organisation
        WHEN 'team' THEN team
        WHEN 'project' THEN project
        WHEN 'key_id' THEN key_id
        WHEN 'user' THEN "user"
    END AS value
    FROM rollups
    WHERE hour >= $3
) AS told
WHERE value = ANY($2::text[])
GROUP BY value, hour
ORDER BY value, hour
