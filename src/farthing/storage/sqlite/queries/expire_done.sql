-- Tell that lines before :before may be gone, and how many more are.
UPDATE retention SET
    kept_from_us = max(kept_from_us, :before), expired = expired + :count, expired_at_us = :now
