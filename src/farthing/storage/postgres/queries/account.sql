-- An account and what is leased of it; leases that have ended count no more. Asked with the account's row locked.
SELECT
    a.posted_nanousd, a.unknown_nanousd,
    coalesce((
        SELECT sum(greatest(l.left_nanousd, 0)) FROM leases AS l
        WHERE l.account = a.number AND (l.until_us > $3 OR l.holder = $2)
    ), 0)
FROM accounts AS a
WHERE a.number = $1
