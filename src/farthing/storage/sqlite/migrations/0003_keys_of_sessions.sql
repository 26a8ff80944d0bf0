-- A key may stand for one session of an agent: what its calls are for, and when it ends if nobody revokes it.
ALTER TABLE keys ADD COLUMN session TEXT;
ALTER TABLE keys ADD COLUMN task TEXT;
ALTER TABLE keys ADD COLUMN branch TEXT;
ALTER TABLE keys ADD COLUMN pull_request TEXT;
ALTER TABLE keys ADD COLUMN expires_at_us INTEGER;
