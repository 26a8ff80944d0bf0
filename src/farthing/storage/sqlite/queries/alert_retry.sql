-- Dead deliveries begin anew.
UPDATE alert_deliveries SET state = 'waiting', tries = 0, next_try_at_us = :now
WHERE state = 'dead' AND (:fact IS NULL OR fact_id = :fact)
