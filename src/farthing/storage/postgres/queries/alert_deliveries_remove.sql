-- Forget where facts went.
DELETE FROM alert_deliveries WHERE fact_id = ANY($1::text[])
