"""The parts of a fake provider: a wire format per file, what it answers, its prompt cache, its account, its server."""
