"""A shop's log of which the best possible recommendations are known.

What moves users is hidden and finite: a type that stays (16) and an intent that changes (6). So the probability of
every next item, given a history, can be computed, and with it what no model can exceed.
"""
