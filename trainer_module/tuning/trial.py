"""A process that trains trials, one after the other: `python -m trainer_module.tuning.trial`.

Each line of its standard input is ``{"job": …, "result": path}``, with the job as `Job.to_json` writes it; what
became of it is written to `path`, as a whole. It ends with its input, or with the process that started it.
TensorFlow is imported once for all of them.
"""

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from foundation.replacing import replace_file
from foundation.sections import UserError
from trainer_module.distribution.worker import end_with_parent
from trainer_module.job import Job
from trainer_module.run import run_here

_LOG = logging.getLogger(__name__)


def main() -> int:
    """Trains until there is nothing left to train."""
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    for line in sys.stdin:
        asked = json.loads(line)
        replace_file(Path(asked["result"]), json.dumps(_train(Job.from_json(asked["job"]))))
    return 0


def _train(job: Job) -> dict[str, Any]:
    """{"history": metric → a value an epoch, "seconds", "error": "" or why the trial came to nothing}."""
    # Here, because a process that is asked for nothing needs no TensorFlow.
    import tf_keras as keras

    from trainer_module.training.loop import REPORT

    started = time.monotonic()
    history, error = {}, ""
    try:
        run_here(job, os.environ)
        history = json.loads(Path(job.log_directory, REPORT).read_text())["history"]
    except UserError as refused:
        error = str(refused)
    except Exception as unexpected:
        # A model may be too large for the machine, or its layers not fit together: others need not be.
        _LOG.exception("a trial failed")
        error = f"{type(unexpected).__name__}: {next(iter(str(unexpected).splitlines()), '')}"
    keras.backend.clear_session()
    return {"history": history, "seconds": time.monotonic() - started, "error": error}


if __name__ == "__main__":
    sys.exit(main())
