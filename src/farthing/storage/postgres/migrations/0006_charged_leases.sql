-- All that was ever posted of what a process leased: by it and by what is left, a process that did not hear an answer
-- knows with the next one what became of what it asked. Amounts are nanodollars.

ALTER TABLE leases ADD COLUMN charged_nanousd bigint NOT NULL DEFAULT 0;
