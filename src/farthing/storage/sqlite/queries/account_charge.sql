-- Charge an account; what is spent of it now, and the rule, tell whether a threshold is reached.
UPDATE accounts SET posted_nanousd = posted_nanousd + :posted, unknown_nanousd = unknown_nanousd + :unknown
WHERE account_id = :account
RETURNING posted_nanousd + unknown_nanousd, (SELECT rule FROM budgets WHERE id = accounts.budget_id)
