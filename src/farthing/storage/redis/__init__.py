"""Redis or Valkey: what several hosts share that must be quick and may be lost. Nothing about money is kept here.

Its client is imported when a store is opened, and not before: most homes have none.
"""
