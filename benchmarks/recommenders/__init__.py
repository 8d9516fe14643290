"""How good and how fast is a recommender that needed no Python, beside the libraries that people use?

All learn from the same events, rank the whole catalogue for the same users, and are measured by the same code.
"""
