"""What did the operator decide? This room answers from settings.yaml, the environment and the command line.

It knows where the home is, who holds its lock, and how to read the settings with every mistake named by file, line,
path, value and what is allowed. It refuses to guess: a YAML value is what its text says, never what YAML 1.1 would make
of it, and a secret does not belong in the file.
"""
