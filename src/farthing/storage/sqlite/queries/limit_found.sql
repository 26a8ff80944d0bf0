-- One limit, by its id or else its name.
SELECT rule FROM limits WHERE rule IS NOT NULL AND (id = :wanted OR name = :wanted) ORDER BY id <> :wanted LIMIT 1
