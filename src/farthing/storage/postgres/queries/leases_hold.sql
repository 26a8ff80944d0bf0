-- The process lives.
UPDATE leases SET until_us = $2 WHERE (account, holder) IN (
    SELECT account, holder FROM leases WHERE holder = $1 ORDER BY account, holder FOR UPDATE
)
