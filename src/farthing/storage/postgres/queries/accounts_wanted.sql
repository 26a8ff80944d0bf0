-- Of which accounts more was asked than was left: since then, or without a time in the last $2 microseconds.
SELECT account_id FROM accounts
WHERE wanted_at_us > 0
    AND wanted_at_us >= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $2::bigint)
