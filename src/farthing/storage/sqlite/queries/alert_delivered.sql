-- A channel took a fact.
UPDATE alert_deliveries SET state = 'delivered', delivered_at_us = :at, next_try_at_us = NULL, error = NULL
WHERE fact_id = :fact AND channel = :channel AND state <> 'delivered'
