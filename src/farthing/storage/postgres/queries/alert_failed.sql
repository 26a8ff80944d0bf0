-- A channel did not take a fact; what was delivered stays so.
UPDATE alert_deliveries
SET state = CASE WHEN $4::bigint IS NULL THEN 'dead' ELSE 'waiting' END, next_try_at_us = $4, error = $3
WHERE fact_id = $1 AND channel = $2 AND state = 'waiting'
