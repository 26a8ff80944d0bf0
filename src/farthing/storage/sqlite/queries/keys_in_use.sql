-- How many keys count; a deleted one is revoked as well, so that older tables can be asked too.
SELECT count(*) FROM keys WHERE revoked_at_us IS NULL
