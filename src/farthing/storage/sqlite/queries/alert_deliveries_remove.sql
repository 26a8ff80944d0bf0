-- Forget where a fact went.
DELETE FROM alert_deliveries WHERE fact_id = ?
