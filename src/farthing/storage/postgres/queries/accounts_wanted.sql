-- Of which accounts more was asked than was left, since then.
SELECT account_id FROM accounts WHERE wanted_at_us > 0 AND wanted_at_us >= $1
