-- The process lives.
UPDATE leases SET until_us = :until WHERE holder = :holder
