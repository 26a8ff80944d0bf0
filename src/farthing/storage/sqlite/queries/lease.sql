-- What a process may still spend of an account, and all that was posted of what it leased.
SELECT left_nanousd, charged_nanousd FROM leases WHERE account_id = :account AND holder = :holder
