-- How the deliveries of some facts stand.
SELECT fact_id, channel, state, tries, next_try_at_us, delivered_at_us, error
FROM alert_deliveries WHERE fact_id = ANY($1::text[]) ORDER BY fact_id, channel
