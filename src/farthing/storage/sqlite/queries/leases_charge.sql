-- Take what was charged off what the process had leased; :charges is what charges.sql told. The plus keeps an index away
-- by which all that the process leases would be read for each of them.
UPDATE leases SET
    left_nanousd = left_nanousd - charge.value ->> 1 - charge.value ->> 2,
    charged_nanousd = charged_nanousd + charge.value ->> 1 + charge.value ->> 2
FROM json_each(:charges) AS charge
WHERE account_id = charge.value ->> 0 AND +holder = :holder
