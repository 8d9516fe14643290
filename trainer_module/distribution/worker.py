"""One worker of a training: `python -m trainer_module.distribution.worker --job job.json`.

With TF_CONFIG in the environment it is one of several, wherever they run; without, it is alone. Exit
status: 0 trained, 1 failed, 3 the other workers did not appear, 143 preempted (saved, and stopped).
"""

import argparse
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

from foundation.sections import ConfigurationError
from trainer_module.distribution.cluster import WorkersMissing
from trainer_module.distribution.launcher import PROGRESS
from trainer_module.job import Job


def main() -> int:
    """Trains; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", type=Path, required=True, help="a file that Job.to_json wrote")
    job = Job.from_json(json.loads(parser.parse_args().job.read_text()))
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"{PROGRESS}%(message)s"))
    logger = logging.getLogger("trainer_module")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()

    from trainer_module.run import run_here

    try:
        run_here(job, os.environ)
    except (ConfigurationError, WorkersMissing) as error:
        logger.error("%s", error)
        return 3 if isinstance(error, WorkersMissing) else 1
    return 0


def end_with_parent(parent: int) -> None:
    """Ends this process when the one that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
