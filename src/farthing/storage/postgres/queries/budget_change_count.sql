-- Something about the budgets changes.
UPDATE budget_changes SET counter = counter + 1
