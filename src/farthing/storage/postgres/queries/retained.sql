-- What is gone.
SELECT kept_from_us, expired, expired_at_us FROM retention
