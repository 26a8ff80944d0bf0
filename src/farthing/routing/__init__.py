"""Which of a router's models answers a call: pure decisions over plain data.

The room is told what each model would cost and how the budgets stand, and says which to try, in which order, and why.
It calls nobody, keeps nothing and knows no time, so a decision can be made again from what it was made of.
"""
