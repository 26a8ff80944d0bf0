-- Delete the rows :rows.
DELETE FROM attempts WHERE rowid IN (SELECT value FROM json_each(:rows))
