-- Budgets at $1 that are about all calls, or about the session $2, and what is spent of each.
SELECT b.rule, a.posted_nanousd + a.unknown_nanousd
FROM accounts AS a JOIN budgets AS b ON b.id = a.budget_id
WHERE (a.anchor = 'all' OR (a.anchor = 'session' AND a.anchor_value = $2::text))
    AND a.start_us <= $1 AND (a.end_us IS NULL OR a.end_us > $1)
ORDER BY a.account_id
