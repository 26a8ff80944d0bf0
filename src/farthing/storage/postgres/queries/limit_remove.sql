-- Forget a limit.
UPDATE limits SET name = NULL, rule = NULL, changed = (SELECT counter FROM limit_changes)
WHERE id = $1 AND rule IS NOT NULL
