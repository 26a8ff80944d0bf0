-- The youngest facts: those before one of them, or the one that is meant.
SELECT f.fact, f.routed FROM alert_facts AS f
WHERE (NOT $2::boolean OR EXISTS (SELECT 1 FROM alert_deliveries AS d WHERE d.fact_id = f.fact_id AND d.state = 'dead'))
    AND ($4::text IS NULL OR f.fact_id = $4)
    AND ($3::text IS NULL OR (f.at_us, f.fact_id) < (SELECT b.at_us, b.fact_id FROM alert_facts AS b WHERE b.fact_id = $3))
ORDER BY f.at_us DESC, f.fact_id DESC LIMIT $1
