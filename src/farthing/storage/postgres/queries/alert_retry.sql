-- Dead deliveries begin anew.
UPDATE alert_deliveries SET state = 'waiting', tries = 0, next_try_at_us = $2
WHERE state = 'dead' AND ($1::text IS NULL OR fact_id = $1)
