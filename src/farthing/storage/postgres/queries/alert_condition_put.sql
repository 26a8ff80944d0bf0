-- Keep how a condition stands.
INSERT INTO alert_conditions (name, times, level, changed_at_us, budget_id, until_us, condition)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (farthing_digest(name)) DO UPDATE SET
    times = excluded.times, level = excluded.level, changed_at_us = excluded.changed_at_us,
    budget_id = excluded.budget_id, until_us = excluded.until_us, condition = excluded.condition
