-- What others have leased of a window, how many they are, and whether they wanted more of it of late.
SELECT
    coalesce(sum(amount), 0)::bigint,
    count(*),
    EXISTS (SELECT 1 FROM window_wants WHERE window_id = $1 AND wanted_us > $3 AND wanted_by <> $2)
FROM window_leases
WHERE window_id = $1 AND holder <> $2
