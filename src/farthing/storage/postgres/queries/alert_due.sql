-- Deliveries that are due at $1, but to no channel of $2; what would be due later than anything is put off was written
-- by a clock that was wrong. Another process that takes some at the same moment takes others.
SELECT f.fact, d.channel, d.tries FROM alert_deliveries AS d JOIN alert_facts AS f ON f.fact_id = d.fact_id
WHERE d.state = 'waiting' AND (d.next_try_at_us <= $1 OR d.next_try_at_us > $1::bigint + 7200000000)
    AND d.channel <> ALL($2::text[])
ORDER BY f.at_us, f.fact_id, d.channel LIMIT $3
FOR UPDATE OF d SKIP LOCKED
