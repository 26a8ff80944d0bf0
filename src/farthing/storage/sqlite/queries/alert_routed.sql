-- Where a fact goes is decided once.
UPDATE alert_facts SET routed = 1 WHERE fact_id = ? AND routed = 0
