-- Windows of which somebody wanted more than was left.
SELECT window_id FROM window_wants WHERE wanted_us >= ? ORDER BY window_id
