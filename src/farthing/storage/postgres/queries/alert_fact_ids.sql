-- Ids of facts that begin so.
SELECT fact_id FROM alert_facts WHERE fact_id >= $1 AND fact_id < $2 ORDER BY fact_id LIMIT $3
