"""The dialects that clients speak to us: one file per face, each with its paths, its errors and its lists of models."""
