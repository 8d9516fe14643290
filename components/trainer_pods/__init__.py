"""The steps Trainer and Tuner where workers and trials have Kubernetes pods of their own."""
