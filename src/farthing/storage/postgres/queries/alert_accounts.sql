-- Of budgets ($1) accounts in their period (at $3), where a line ($2, for each budget) is reached or was.
SELECT b.rule, a.account_id, a.end_us,
    a.organisation, a.team, a.project, a.key_id, a."user", a.session, a.task, a.tag, a.posted_nanousd, a.unknown_nanousd
FROM unnest($1::text[], $2::bigint[]) AS asked (budget_id, line)
JOIN budgets AS b ON b.id = asked.budget_id AND b.rule IS NOT NULL
JOIN accounts AS a ON a.budget_id = asked.budget_id AND (a.end_us IS NULL OR a.end_us > $3)
WHERE a.posted_nanousd::numeric + a.unknown_nanousd >= asked.line OR EXISTS (
    SELECT 1 FROM alert_conditions AS c
    WHERE farthing_digest(c.name) = farthing_digest('threshold ' || a.account_id) AND c.level > 0
)
ORDER BY a.account_id
