-- Add to what a process has leased, or take from it.
INSERT INTO leases (account_id, holder, left_nanousd, until_us) VALUES (:account, :holder, :change, :until)
ON CONFLICT (account_id, holder) DO UPDATE SET left_nanousd = left_nanousd + :change, until_us = :until
