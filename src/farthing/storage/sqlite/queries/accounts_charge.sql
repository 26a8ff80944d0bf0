-- Charge accounts; :charges is what charges.sql told.
UPDATE accounts SET
    posted_nanousd = posted_nanousd + charge.value ->> 1,
    unknown_nanousd = unknown_nanousd + charge.value ->> 2
FROM json_each(:charges) AS charge
WHERE account_id = charge.value ->> 0
