-- Tell how many more lines are gone, and when.
UPDATE retention SET expired = expired + $1, expired_at_us = $2
