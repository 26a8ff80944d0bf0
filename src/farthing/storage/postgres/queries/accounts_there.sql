-- Which of these accounts there are.
SELECT account_id FROM accounts
WHERE farthing_digest(account_id) IN (SELECT farthing_digest(wanted) FROM unnest($1::text[]) AS wanted)
