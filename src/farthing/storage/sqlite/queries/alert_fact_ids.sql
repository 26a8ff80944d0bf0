-- Ids of facts that begin so.
SELECT fact_id FROM alert_facts WHERE fact_id >= :low AND fact_id < :high ORDER BY fact_id LIMIT :limit
