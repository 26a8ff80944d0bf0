-- Forget a limit.
UPDATE limits SET name = NULL, rule = NULL, changed = (SELECT counter FROM limit_changes)
WHERE id = ? AND rule IS NOT NULL
