-- Conditions of one budget that hold.
SELECT name FROM alert_conditions WHERE level > 0 AND budget_id = ?
