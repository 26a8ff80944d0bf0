-- A budget, new or changed, unless another one has its name.
INSERT INTO budgets (id, name, rule, changed)
SELECT :id, :name, :rule, (SELECT counter FROM budget_changes)
WHERE NOT EXISTS (SELECT 1 FROM budgets WHERE name = :name AND id <> :id)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, rule = excluded.rule, changed = excluded.changed
