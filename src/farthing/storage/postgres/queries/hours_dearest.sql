-- Who spent most from an hour ($2) on.
SELECT
    CASE $1::text
        WHEN 'organisation' THEN organisation
        WHEN 'team' THEN team
        WHEN 'project' THEN project
        WHEN 'key_id' THEN key_id
        WHEN 'user' THEN "user"
    END AS value
FROM rollups
WHERE hour >= $2
GROUP BY 1
HAVING sum(cost_nanousd) + sum(held_nanousd) > 0 AND min(
    CASE $1::text
        WHEN 'organisation' THEN organisation
        WHEN 'team' THEN team
        WHEN 'project' THEN project
        WHEN 'key_id' THEN key_id
        WHEN 'user' THEN "user"
    END
) <> ''
ORDER BY sum(cost_nanousd) + sum(held_nanousd) DESC, 1
LIMIT $3
