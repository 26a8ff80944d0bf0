-- A channel did not take a fact; what was delivered stays so.
UPDATE alert_deliveries
SET state = CASE WHEN :next IS NULL THEN 'dead' ELSE 'waiting' END, next_try_at_us = :next, error = :error
WHERE fact_id = :fact AND channel = :channel AND state = 'waiting'
