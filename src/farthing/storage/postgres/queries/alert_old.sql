-- Facts that are old, or beyond the number that is kept, and not on their way.
SELECT f.fact_id FROM alert_facts AS f
WHERE f.routed = 1
    AND (f.at_us < $1 OR f.fact_id IN (SELECT fact_id FROM alert_facts ORDER BY at_us DESC, fact_id DESC OFFSET $2))
    AND NOT EXISTS (SELECT 1 FROM alert_deliveries AS d WHERE d.fact_id = f.fact_id AND d.state = 'waiting')
