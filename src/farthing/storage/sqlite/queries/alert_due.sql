-- Deliveries that are due; what would be due later than anything is put off was written by a clock that was wrong.
SELECT f.fact, d.channel, d.tries FROM alert_deliveries AS d JOIN alert_facts AS f ON f.fact_id = d.fact_id
WHERE d.state = 'waiting' AND (d.next_try_at_us <= :now OR d.next_try_at_us > :now + 7200000000)
    AND d.channel NOT IN (SELECT value FROM json_each(:but))
ORDER BY f.at_us, f.fact_id, d.channel LIMIT :limit
