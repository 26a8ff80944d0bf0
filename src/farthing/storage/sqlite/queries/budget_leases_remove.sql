-- Forget what is leased of a budget's accounts: all of them, or those of other versions.
DELETE FROM leases WHERE account_id IN (
    SELECT account_id FROM accounts WHERE budget_id = :id AND (:version IS NULL OR version <> :version)
)
