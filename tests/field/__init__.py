"""What went wrong on tables that people really have: each right value is a test."""
