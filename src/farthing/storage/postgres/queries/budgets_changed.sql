-- What was changed after that.
SELECT id, rule FROM budgets WHERE changed > $1 ORDER BY id
