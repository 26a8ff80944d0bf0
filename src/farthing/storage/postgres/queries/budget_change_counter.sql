-- Grows with every change to the budgets.
SELECT counter FROM budget_changes
