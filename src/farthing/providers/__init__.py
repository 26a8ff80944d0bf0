"""Who we call and how each of them behaves: address, credential, paths, habits, errors.

A provider that behaves differently is a file here; one that only has another address is a row in `openai_compatible`.
No provider knows another, a face or a price. The vendors' own SDKs are not used: none of them passes bytes through.
"""
