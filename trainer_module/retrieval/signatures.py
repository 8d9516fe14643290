"""What the signatures of a recommender are called, and their inputs and outputs; standard library only."""

RECOMMEND, EMBED_USER, EMBED_ITEM = "recommend", "embed_user", "embed_item"
"""A history → items and scores; a history → a vector; items → vectors."""
KINDS = "kinds"
"""Input of what takes a history, beside `items` and `times`, where the log's requests say the kinds of its events: bytes of the
same shape, empty for unknown."""
RANK, CANDIDATES = "rank", "candidates"
"""A history and `CANDIDATES` of each user → `SCORES` in the order that they are given in."""
RANKS = "ranks"
"""Serialized examples of sequences → the rank of each target, and what is recommended in its place."""
FIRST_STAGE_RANKS, CANDIDATE_SCORES, CANDIDATE_TARGETS = (
    "first_stage_ranks",
    "candidate_scores",
    "candidate_targets",
)
"""More outputs of `RANKS` of a model with a second stage: `RANKS` as retrieval has them; float32 and bool [batch,
candidates]."""
OBJECTIVES, OBJECTIVE_SCORES, OBJECTIVE_TARGETS = "objectives", "objective_scores", "objective_targets"
"""And of one with objectives: their names, bytes [batch, objectives], so that rows are rows everywhere; and as
`CANDIDATE_SCORES` and `CANDIDATE_TARGETS`, [batch, candidates, objectives], of each by itself."""
RECOMMENDED, SCORES = "items", "scores"
"""Outputs: bytes and float32, [batch, k]."""
APP = "app"
"""`ITEM_NUMBERS` and `AGES` of one history → `ITEM_NUMBERS` and `SCORES`: what TFLite and TF.js are made of."""
INDEX_RECALL = "index_recall"
"""Output of `RANKS` where an index answers, float32 [batch]: the share of the exact list that is in the index's."""
ITEM_NUMBERS, AGES = "numbers", "ages"
"""Items as lines of the vocabulary from 0, int32, and days, float32."""
K_MAX = 100
"""Of how many items the signatures that are not asked for a number answer, and `recommend` at most."""
