-- Forget a budget.
UPDATE budgets SET name = NULL, rule = NULL, changed = (SELECT counter FROM budget_changes)
WHERE id = $1 AND rule IS NOT NULL
