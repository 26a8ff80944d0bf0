-- One budget.
SELECT rule FROM budgets WHERE id = ? AND rule IS NOT NULL
