-- What a process may still spend of an account.
SELECT left_nanousd FROM leases WHERE account_id = :account AND holder = :holder
