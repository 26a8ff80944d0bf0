-- The rules of these budgets, as far as they are there; the ids come as a JSON array.
SELECT id, rule FROM budgets WHERE rule IS NOT NULL AND id IN (SELECT value FROM json_each(?))
