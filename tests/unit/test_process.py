"""The two ends of a process that holds TensorFlow."""

import gc
import subprocess
import sys

import pytest

from foundation.process import without_collection
from pipeline.config import ROOT


def test_what_is_made_inside_is_not_looked_at_again_and_collection_goes_on() -> None:
    before = gc.get_freeze_count()
    try:
        with pytest.raises(ImportError), without_collection():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() and gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_leaving_keeps_the_status_what_was_printed_and_what_waits_for_the_end() -> None:
    code = (
        "import atexit, os, signal; from foundation.process import exit_at_once; "
        # What is done is done: a signal that comes now would say that it was not.
        "atexit.register(os.kill, os.getpid(), signal.SIGTERM); "
        "atexit.register(print, 'told'); print('printed', end=' '); exit_at_once(7)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "printed told\n", "")
