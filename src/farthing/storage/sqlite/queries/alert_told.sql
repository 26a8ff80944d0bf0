-- The youngest facts: those before one of them, or the one that is meant.
SELECT f.fact, f.routed FROM alert_facts AS f
WHERE (NOT :dead_only OR EXISTS (SELECT 1 FROM alert_deliveries AS d WHERE d.fact_id = f.fact_id AND d.state = 'dead'))
    AND (:id IS NULL OR f.fact_id = :id)
    AND (:before IS NULL OR (f.at_us, f.fact_id) < (SELECT b.at_us, b.fact_id FROM alert_facts AS b WHERE b.fact_id = :before))
ORDER BY f.at_us DESC, f.fact_id DESC LIMIT :limit
