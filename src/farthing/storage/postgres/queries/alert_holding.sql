-- Conditions that hold.
SELECT condition FROM alert_conditions WHERE level > 0 ORDER BY changed_at_us DESC, name LIMIT $1
