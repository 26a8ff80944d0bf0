-- A limit, new or changed, unless another one has its name.
INSERT INTO limits (id, name, rule, changed)
SELECT :id, :name, :rule, (SELECT counter FROM limit_changes)
WHERE NOT EXISTS (SELECT 1 FROM limits WHERE name = :name AND id <> :id)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, rule = excluded.rule, changed = excluded.changed
