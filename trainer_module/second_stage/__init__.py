"""A second stage: orders what retrieval finds best by more than retrieval knows of it.

Retrieval scores the whole catalogue, so its score is a product of vectors and a few counts. The second stage scores only
the first `candidates` of each list, and may ask of each pair of user and item what would cost too much for all items:
how long the item lasts the user, in how many of the latest baskets it was, what else of its kind the user takes.

A log has no impressions, so that the candidates of retrieval are taken for what was shown: `samples` draws some of them for
each of some baskets, and corrects for how likely each was drawn. A table that has impressions needs no retrieval: it
is one of rows, with heads such as click and buy (docs/dataset-file.md).

Training is `fitting`, after retrieval has been trained, on its float32 export, and by one process.
"""
