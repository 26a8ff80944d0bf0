-- The first host decides under which pepper keys are made; another one only where it was lost and every key revoked.
UPDATE farthing SET pepper_check = $1
WHERE pepper_check IS NULL OR pepper_check = $1
    OR (EXISTS (SELECT 1 FROM keys) AND NOT EXISTS (SELECT 1 FROM keys WHERE revoked_at_us IS NULL))
