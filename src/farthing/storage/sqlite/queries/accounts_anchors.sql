-- By which anchors there are accounts, with commas between them; NULL where there is none. From one to the next in the
-- index: there may be many accounts.
WITH RECURSIVE found(anchor) AS (
    SELECT min(anchor) FROM accounts
    UNION ALL
    SELECT (SELECT min(anchor) FROM accounts WHERE anchor > found.anchor) FROM found WHERE found.anchor IS NOT NULL
)
SELECT group_concat(anchor, ',') FROM found
