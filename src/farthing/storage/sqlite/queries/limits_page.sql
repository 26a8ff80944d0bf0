-- The next limits in order of name.
SELECT rule FROM limits WHERE rule IS NOT NULL AND name > ? ORDER BY name LIMIT ?
