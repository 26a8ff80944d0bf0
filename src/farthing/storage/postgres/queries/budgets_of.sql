-- These budgets, as they stay until the end of the transaction.
SELECT id, rule FROM budgets WHERE id = ANY($1::text[]) AND rule IS NOT NULL ORDER BY id FOR SHARE
