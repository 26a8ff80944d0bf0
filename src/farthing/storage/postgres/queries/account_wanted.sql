-- Somebody asked for more than is left; who holds some that he does not need gives it back.
UPDATE accounts SET wanted_at_us = $2 WHERE number = $1
