-- What an account holds.
SELECT posted_nanousd, unknown_nanousd FROM accounts WHERE account_id = ?
