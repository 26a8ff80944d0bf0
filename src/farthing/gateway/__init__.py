"""One call from start to end: choose, reserve what must be reserved, send, meter, settle, answer.

`gateway.py` tells the story, the files beside it each compute one part of it. No other room calls a model.
"""
