-- Every limit.
SELECT rule FROM limits WHERE rule IS NOT NULL ORDER BY name
