-- Add to what a process has leased, or take from it.
INSERT INTO leases (account, holder, left_nanousd, until_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, holder) DO UPDATE SET
    left_nanousd = leases.left_nanousd + excluded.left_nanousd, until_us = excluded.until_us
