-- Accounts: of one budget or all, as `budgets.py` puts in, with what is leased of them at :now.
SELECT
    a.budget_id, a.version, a.start_us, a.end_us, a.organisation, a.team, a.project, a.key_id, a.user, a.session, a.task, a.tag,
    a.posted_nanousd, a.unknown_nanousd,
    coalesce((
        SELECT sum(max(l.left_nanousd, 0)) FROM leases AS l WHERE l.account_id = a.account_id AND l.until_us > :now
    ), 0),
    b.rule
FROM accounts AS a JOIN budgets AS b ON b.id = a.budget_id
WHERE {which} AND (:at IS NULL OR (a.start_us <= :at AND (a.end_us IS NULL OR a.end_us > :at)))
ORDER BY a.budget_id, a.start_us, a.account_id
