-- A channel took a fact.
UPDATE alert_deliveries SET state = 'delivered', delivered_at_us = $3, next_try_at_us = NULL, error = NULL
WHERE fact_id = $1 AND channel = $2 AND state <> 'delivered'
