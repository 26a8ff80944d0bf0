-- The lowest of the first hundred numbers that no key's name has behind $1; else one more than the highest.
-- A number of ten digits or more is nobody's next one.
SELECT coalesce(
    (
        SELECT n FROM generate_series(1, 100) AS n
        WHERE NOT EXISTS (SELECT 1 FROM keys WHERE name = $1::text || n::text AND deleted_at_us IS NULL)
        ORDER BY n LIMIT 1
    ),
    (
        SELECT max(substr(name, length($1) + 1)::bigint) + 1 FROM keys
        WHERE deleted_at_us IS NULL AND name > $1 AND name < $1 || ':'
            AND substr(name, length($1) + 1) ~ '^[0-9]{1,9}$'
    )
)
