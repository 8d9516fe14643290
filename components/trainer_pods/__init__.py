"""The step Trainer where its workers are Kubernetes pods of their own."""
