-- Facts that go nowhere yet.
SELECT fact FROM alert_facts WHERE routed = 0 ORDER BY at_us, fact_id LIMIT $1
