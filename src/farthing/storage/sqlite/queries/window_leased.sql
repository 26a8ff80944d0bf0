-- What others have leased of a window, how many they are, and who wanted more of it of late.
SELECT
    (SELECT coalesce(sum(amount), 0) FROM window_leases WHERE window_id = :window AND holder <> :holder),
    (SELECT count(*) FROM window_leases WHERE window_id = :window AND holder <> :holder),
    EXISTS (
        SELECT 1 FROM window_wants WHERE window_id = :window AND wanted_us > :since AND wanted_by <> :holder
    )
