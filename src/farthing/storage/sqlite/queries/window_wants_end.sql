-- What was wanted long ago.
DELETE FROM window_wants WHERE wanted_us <= ?
