-- Forget a budget's accounts, all of them or those of other versions, with what is leased of them.
DELETE FROM accounts WHERE number IN (
    SELECT number FROM accounts WHERE budget_id = $1 AND ($2::bigint IS NULL OR version <> $2)
    ORDER BY number
    FOR UPDATE
)
