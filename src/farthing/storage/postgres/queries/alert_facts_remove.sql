-- Forget facts.
DELETE FROM alert_facts WHERE fact_id = ANY($1::text[])
