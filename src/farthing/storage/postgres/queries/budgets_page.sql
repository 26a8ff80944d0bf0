-- The next budgets in order of name.
SELECT rule FROM budgets WHERE rule IS NOT NULL AND name > $1 ORDER BY name LIMIT $2
