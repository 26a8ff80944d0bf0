-- What accounts that were charged hold now, and what was added, as one JSON array.
SELECT json_group_array(json_array(
    account_id, budget_id, posted_nanousd + unknown_nanousd, charge.value ->> 1 + charge.value ->> 2
))
FROM json_each(?) AS charge CROSS JOIN accounts
WHERE account_id = charge.value ->> 0
