-- The next budgets in order of name.
SELECT rule FROM budgets WHERE rule IS NOT NULL AND name > ? ORDER BY name LIMIT ?
