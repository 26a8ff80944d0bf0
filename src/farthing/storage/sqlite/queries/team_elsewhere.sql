-- Whether a key, of now or before, is of a team of this name in another organisation.
SELECT EXISTS (SELECT 1 FROM keys WHERE team = :team AND organisation <> :organisation)
