-- One budget, by its id or else its name.
SELECT rule FROM budgets WHERE rule IS NOT NULL AND (id = $1 OR name = $1) ORDER BY id <> $1 LIMIT 1
