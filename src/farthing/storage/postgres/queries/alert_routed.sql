-- Where a fact goes is decided once.
UPDATE alert_facts SET routed = 1 WHERE fact_id = $1 AND routed = 0
