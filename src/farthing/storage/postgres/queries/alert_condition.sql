-- One condition.
SELECT condition FROM alert_conditions WHERE farthing_digest(name) = farthing_digest($1)
