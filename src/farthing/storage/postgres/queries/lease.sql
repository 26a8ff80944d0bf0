-- What a process may still spend of an account.
SELECT left_nanousd FROM leases WHERE account = $1 AND holder = $2
