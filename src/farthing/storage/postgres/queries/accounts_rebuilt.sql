-- Make every account's sums anew; who posts waits meanwhile. Tells those that changed as they were.
WITH again AS (
    SELECT a.number, a.account_id, a.posted_nanousd, a.unknown_nanousd, r.posted, r.unknown
    FROM accounts AS a JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS r (account_id, posted, unknown)
        ON a.account_id = r.account_id
    WHERE a.posted_nanousd <> r.posted OR a.unknown_nanousd <> r.unknown
), changed AS (
    UPDATE accounts SET posted_nanousd = again.posted, unknown_nanousd = again.unknown
    FROM again WHERE accounts.number = again.number
)
SELECT account_id, posted_nanousd, unknown_nanousd FROM again
