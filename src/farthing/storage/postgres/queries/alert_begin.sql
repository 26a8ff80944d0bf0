-- A delivery is begun; until then nobody else has it.
UPDATE alert_deliveries SET tries = tries + 1, next_try_at_us = $3 WHERE fact_id = $1 AND channel = $2
