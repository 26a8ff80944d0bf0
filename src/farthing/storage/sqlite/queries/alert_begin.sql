-- A delivery is begun; until then nobody else has it.
UPDATE alert_deliveries SET tries = tries + 1, next_try_at_us = :until WHERE fact_id = :fact AND channel = :channel
