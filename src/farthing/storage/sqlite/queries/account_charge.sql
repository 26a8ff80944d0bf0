-- Charge an account.
UPDATE accounts SET posted_nanousd = posted_nanousd + :posted, unknown_nanousd = unknown_nanousd + :unknown
WHERE account_id = :account
