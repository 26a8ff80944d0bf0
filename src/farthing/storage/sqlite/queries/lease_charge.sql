-- Take what was charged off what the process had leased.
UPDATE leases SET left_nanousd = left_nanousd - :charge, charged_nanousd = charged_nanousd + :charge
WHERE account_id = :account AND holder = :holder
