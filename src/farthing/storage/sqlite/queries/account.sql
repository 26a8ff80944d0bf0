-- An account and what is leased of it; leases that have ended count no more.
SELECT
    a.posted_nanousd, a.unknown_nanousd,
    coalesce((
        SELECT sum(max(l.left_nanousd, 0)) FROM leases AS l
        WHERE l.account_id = a.account_id AND (l.until_us > :now OR l.holder = :holder)
    ), 0)
FROM accounts AS a
WHERE a.account_id = :account
