"""The search for better settings: what may be tried, which trials there are, and how they are trained."""
