-- How often something about the limits changed.
SELECT counter FROM limit_changes
