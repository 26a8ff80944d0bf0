-- Keep everybody else from these accounts and what is leased of them until the end of the transaction.
SELECT number, account_id FROM accounts
WHERE farthing_digest(account_id) IN (SELECT farthing_digest(wanted) FROM unnest($1::text[]) AS wanted)
ORDER BY number
FOR UPDATE
