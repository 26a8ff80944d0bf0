-- A fact is to go to a channel.
INSERT INTO alert_deliveries (fact_id, channel, state, next_try_at_us) VALUES ($1, $2, 'waiting', $3)
