"""The pipeline from Python: in a notebook, a script or a test, by the way that the command lines take.

    from pipeline.session import load

    taxi = load("taxi").with_settings("training.epochs=3")
    result = taxi.run()                      # progress as it goes; raises RunError where the run fails
    result.metrics                           # pandas.DataFrame [slices, metrics]
    result.report                            # the page, shown in a notebook
    taxi.compare("latest~1", "latest")
    taxi.with_profile("cluster").compile("pipeline.yaml")

What a user can fix is a `foundation.sections.UserError` whose `str` is the sentence that the command line prints.
Importing this package imports neither TensorFlow nor pandas; what needs them does. See docs/notebook.md.
"""

from pipeline.session.session import RunError, Session, load

__all__ = ["RunError", "Session", "load"]
