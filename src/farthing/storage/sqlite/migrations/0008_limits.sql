-- Limits, what was used of their windows, and what processes have leased of those.

-- What was removed stays as a row without a name and a rule, so that who follows the changes learns of it.
CREATE TABLE limits (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT UNIQUE,
    rule TEXT,  -- the whole of it, as JSON: nothing is looked for inside
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX limits_by_change ON limits (changed);

CREATE TABLE limit_changes (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO limit_changes (id, counter) VALUES (1, 0);

-- What one process used of a window in one sub-window, until it leaves the window. A window of 0 us counts what is under
-- way, for as long as its process is heard of.
CREATE TABLE window_counts (
    window_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    sub_window INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    leaves_us INTEGER NOT NULL,
    PRIMARY KEY (window_id, holder, sub_window)
) STRICT, WITHOUT ROWID;
CREATE INDEX window_counts_by_end ON window_counts (leaves_us);

-- What a process may still use without asking. One that ended counts as used at its end.
CREATE TABLE window_leases (
    window_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    window_us INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (window_id, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX window_leases_by_end ON window_leases (until_us);

CREATE TABLE window_wants (
    window_id TEXT NOT NULL PRIMARY KEY,
    wanted_us INTEGER NOT NULL,
    wanted_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
