"""What leaves with a model for an app: its features in words that an app understands, and variants."""
