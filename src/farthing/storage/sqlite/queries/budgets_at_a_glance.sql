-- Budgets of now that are about all calls, or about :session, and what is spent of each.
SELECT b.rule, a.posted_nanousd + a.unknown_nanousd
FROM accounts AS a JOIN budgets AS b ON b.id = a.budget_id
WHERE (a.anchor = 'all' OR (a.anchor = 'session' AND a.anchor_value = :session))
    AND a.start_us <= :now AND (a.end_us IS NULL OR a.end_us > :now)
ORDER BY a.account_id
