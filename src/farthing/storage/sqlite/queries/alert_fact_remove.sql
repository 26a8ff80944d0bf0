-- Forget a fact.
DELETE FROM alert_facts WHERE fact_id = ?
