"""Where the data steps' Beam pipelines run, if not in the process of the step: what must hold before a job, and what is left after it."""
