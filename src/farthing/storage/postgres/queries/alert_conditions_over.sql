-- Conditions that hold at $1 though their time is over, or their budget is gone; and why they end.
SELECT c.name,
    CASE WHEN NOT coalesce(c.until_us <= $1, FALSE) THEN 'removed' WHEN c.budget_id IS NULL THEN 'usual' ELSE 'anew' END
FROM alert_conditions AS c
WHERE c.level > 0 AND (
    c.until_us <= $1
    OR (c.budget_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM budgets AS b WHERE b.id = c.budget_id AND b.rule IS NOT NULL))
)
ORDER BY c.name
