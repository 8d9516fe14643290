"""A model's predictions of a table of any size, through the signature that a server would be asked by."""
