-- Processes have ended, and all that they left is posted; :but is a JSON array.
DELETE FROM leases
WHERE holder >= :low AND holder < :high AND holder NOT IN (SELECT value FROM json_each(:but))
RETURNING left_nanousd
