-- Processes have ended, and all that they left is posted.
DELETE FROM leases
WHERE (account, holder) IN (
    SELECT account, holder FROM leases WHERE holder >= $1 AND holder < $2 AND NOT holder = ANY($3::text[])
    ORDER BY account, holder
    FOR UPDATE
)
RETURNING left_nanousd
