"""From one wire format into another: each format is read into the neutral form (`types/chat.py`) and written from it.

A package for each format, with the same three files: `requests`, `answers`, `streams`. What a format cannot carry it
declares (`features.py`), so that what a pair of formats loses is computed and never guessed; nothing here decides what
becomes of a loss. Nothing here is imported before a call has to be translated.
"""
