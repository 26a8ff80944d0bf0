-- A limit, new or changed, unless another one has its name.
INSERT INTO limits (id, name, rule, changed)
SELECT $1, $2, $3, (SELECT counter FROM limit_changes)
WHERE NOT EXISTS (SELECT 1 FROM limits WHERE name = $2 AND id <> $1)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, rule = excluded.rule, changed = excluded.changed
