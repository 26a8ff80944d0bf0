-- The next limits in order of name.
SELECT rule FROM limits WHERE rule IS NOT NULL AND name > $1 ORDER BY name LIMIT $2
