"""The step ServingCheck: the exported model, asked as a server would ask it."""
