-- Something about the limits changes.
UPDATE limit_changes SET counter = counter + 1
