-- Leases of others that ended.
DELETE FROM window_leases WHERE until_us <= :now AND holder <> :holder
