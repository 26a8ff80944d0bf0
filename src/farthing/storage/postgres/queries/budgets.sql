-- Every budget.
SELECT rule FROM budgets WHERE rule IS NOT NULL ORDER BY name
