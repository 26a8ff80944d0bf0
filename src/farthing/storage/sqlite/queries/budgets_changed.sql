-- What was changed after that.
SELECT id, rule FROM budgets WHERE changed > ? ORDER BY id
