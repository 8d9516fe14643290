"""A step's work divided over processes of this machine."""
