-- How many keys count.
SELECT count(*) FROM keys WHERE revoked_at_us IS NULL
