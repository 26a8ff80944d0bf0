-- The last row of the sums of what is gone.
SELECT coalesce(max(id), 0) FROM expired_sums
