-- A fact to be told; one that is there was told.
INSERT INTO alert_facts (fact_id, at_us, fact) VALUES ($1, $2, $3) ON CONFLICT (fact_id) DO NOTHING
