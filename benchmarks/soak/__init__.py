"""Many nights of retraining on which something goes wrong, and what must hold after each."""
