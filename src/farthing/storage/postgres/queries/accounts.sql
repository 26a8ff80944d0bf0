-- Accounts: of one budget or all, with what is leased of them at $3.
SELECT
    a.budget_id, a.version, a.start_us, a.end_us, a.organisation, a.team, a.project, a.key_id, a."user", a.session,
    a.task, a.tag, a.posted_nanousd, a.unknown_nanousd,
    coalesce((
        SELECT sum(greatest(l.left_nanousd, 0)) FROM leases AS l WHERE l.account = a.number AND l.until_us > $3
    ), 0),
    b.rule
FROM accounts AS a JOIN budgets AS b ON b.id = a.budget_id
WHERE ($1::text IS NULL OR a.budget_id = $1)
    AND ($2::bigint IS NULL OR (a.start_us <= $2 AND (a.end_us IS NULL OR a.end_us > $2)))
ORDER BY a.budget_id, a.start_us, a.account_id
