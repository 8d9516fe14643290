"""A step of training: what its queries are compared with, the loss, and what replicas have to know of each other."""
