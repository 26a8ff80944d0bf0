-- What was wanted long ago.
DELETE FROM window_wants
WHERE window_id IN (SELECT window_id FROM window_wants WHERE wanted_us <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)
