-- One limit, by its id or else its name.
SELECT rule FROM limits WHERE rule IS NOT NULL AND (id = $1 OR name = $1) ORDER BY id <> $1 LIMIT 1
