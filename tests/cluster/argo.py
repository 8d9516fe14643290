"""Process 1 of a step's container as on Kubeflow Pipelines, for `python -c`: python -c TEXT COMMAND...

Argo's emissary starts KFP's launcher in a process group of its own, which the step's command shares. It hands
SIGTERM on to the group, looks once a second whether the launcher is gone, and ends with it; with process 1 the
container ends. The launcher does not handle SIGTERM. Written from argo-workflows 3.7
(`cmd/argoexec/commands/emissary.go`, `workflow/executor/os-specific/command.go`) and measured with the real ones.
"""

import os
import signal
import subprocess
import sys
import time

launcher = subprocess.Popen(["sh", "-c", '"$@"; exit $?', "launcher", *sys.argv[1:]], start_new_session=True)
signal.signal(signal.SIGTERM, lambda number, frame: os.killpg(launcher.pid, number))
while launcher.poll() is None:
    time.sleep(1)
sys.exit(launcher.returncode if launcher.returncode >= 0 else 128 - launcher.returncode)
