"""Recommendations for each user of a log, through the signature that a server would be asked by."""
