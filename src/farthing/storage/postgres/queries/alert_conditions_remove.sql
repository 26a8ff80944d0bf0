-- Conditions that ended long ago.
DELETE FROM alert_conditions WHERE level = 0 AND changed_at_us < $1
