-- The youngest facts.
SELECT f.fact, f.routed FROM alert_facts AS f
WHERE NOT $2::boolean OR EXISTS (SELECT 1 FROM alert_deliveries AS d WHERE d.fact_id = f.fact_id AND d.state = 'dead')
ORDER BY f.at_us DESC, f.fact_id DESC LIMIT $1
