-- The lowest of the first hundred numbers that no key's name has behind :prefix; else one more than the highest.
-- A number of ten digits or more is nobody's next one.
WITH RECURSIVE first (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM first WHERE n < 100)
SELECT coalesce(
    (
        SELECT n FROM first
        WHERE NOT EXISTS (SELECT 1 FROM keys WHERE name = :prefix || n AND deleted_at_us IS NULL)
        ORDER BY n LIMIT 1
    ),
    (
        SELECT max(CAST(substr(name, length(:prefix) + 1) AS INTEGER)) + 1 FROM keys
        WHERE deleted_at_us IS NULL AND name > :prefix AND name < :prefix || ':'
            AND substr(name, length(:prefix) + 1) NOT GLOB '*[^0-9]*' AND length(name) < length(:prefix) + 10
    )
)
