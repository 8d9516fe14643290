"""From histories to answers: what the signatures of a recommender have in common."""
