-- Lines that were copied from another store, and have expired there since.
DELETE FROM attempts WHERE attempt_id IN (SELECT attempt_id FROM expired_attempts)
