-- Forget a budget's accounts: all of them, or those of other versions.
DELETE FROM accounts WHERE budget_id = :id AND (:version IS NULL OR version <> :version)
