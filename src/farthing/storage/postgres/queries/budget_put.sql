-- A budget, new or changed, unless another one has its name.
INSERT INTO budgets (id, name, rule, changed)
SELECT $1, $2, $3, (SELECT counter FROM budget_changes)
WHERE NOT EXISTS (SELECT 1 FROM budgets WHERE name = $2 AND id <> $1)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, rule = excluded.rule, changed = excluded.changed
