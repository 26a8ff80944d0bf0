-- One condition.
SELECT condition FROM alert_conditions WHERE name = ?
