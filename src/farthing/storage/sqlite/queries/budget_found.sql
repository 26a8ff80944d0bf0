-- One budget, by its id or else its name.
SELECT rule FROM budgets WHERE rule IS NOT NULL AND (id = :wanted OR name = :wanted) ORDER BY id <> :wanted LIMIT 1
