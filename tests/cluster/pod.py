"""One pod's container as a process with a root, a network and a process namespace of its own.

What a container runtime would do for a pod of this product's image: the image is this checkout and its
environment, under the paths of the Dockerfile; volumes are directories; user, group, capabilities and privileges
are what the pod's security contexts say. Process 1 is the container's command, and all ends with it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.config import ROOT

Document = dict[str, Any]

IMAGE_USER, IMAGE_GROUP = 1000, 0
"""As the Dockerfile says."""
_IMAGE_FOLDERS = ("components", "foundation", "pipeline", "trainer_module", "datasets", "profiles")
_IMAGE_ENVIRONMENT = {
    "HOME": "/home/tfx",
    "USER": "tfx",
    "PATH": "/opt/venv/bin:/usr/bin:/bin",
    "PYTHONPATH": "/opt/pipeline",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def expand(text: str, variables: dict[str, str]) -> str:
    """Kubernetes' own replacement: `$(NAME)` of a variable that stands before, and `$$` for a dollar sign."""
    return re.sub(
        r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)",
        lambda found: "$" if found[0] == "$$" else variables.get(found[1], found[0]),
        text,
    )


class Network:
    """A network namespace on the bridge of all pods."""

    def __init__(self, number: int) -> None:
        """Makes the namespace of the pod with this number, from 2 on."""
        self.name, self.address = f"pod-{number}", f"10.244.{number // 256}.{number % 256}"
        _ip("netns", "add", self.name)
        _ip("link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", f"veth{number}", "master", "pods", "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/16", "dev", "eth0")
        _ip("-n", self.name, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """Removes it with its end of the bridge."""
        _ip("netns", "delete", self.name)

    @staticmethod
    def make_bridge(address: str) -> None:
        """Makes what connects the pods with this namespace, in which `address` is the control plane's."""
        # Where `ip` keeps names of namespaces; on the host's own they would outlive this mount namespace.
        names = Path("/run/netns")
        names.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", names], check=True)
        _ip("link", "set", "lo", "up")
        # Its own it would take from a pod, and change with that pod's end: others would look for it in vain.
        _ip("link", "add", "pods", "address", "02:00:00:00:00:01", "type", "bridge")
        _ip("addr", "add", f"{address}/16", "dev", "pods")
        _ip("link", "set", "pods", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Container:
    """The one container of a pod."""

    def __init__(self, directory: Path, pod: Document, network: Network, hosts: Path) -> None:
        """Takes a new directory for its root and log, and the file of host names that all pods share."""
        self.directory, self.pod, self._network = directory, pod, network
        (self.specification,) = pod["spec"]["containers"]
        self.log = directory / "log"
        self._root = directory / "root"
        self._binds: list[tuple[Path, str, bool]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._kill_at: float | None = None
        self._killed = False
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        for writable in ("tmp", "home/tfx", "proc"):
            (self._root / writable).mkdir(parents=True)
            (self._root / writable).chmod(0o1777)
        for link in ("bin", "sbin", "lib", "lib64"):
            (self._root / link).symlink_to(f"usr/{link}")
        for system in ("/usr", "/etc/ssl", "/etc/alternatives", sys.base_prefix):
            self.mount(Path(system), system)
        # A folder of its own, in which pods have files mounted.
        (self._root / "etc").mkdir()
        for file in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "hosts"):
            shutil.copy(f"/etc/{file}", self._root / "etc")
        self.mount(Path("/dev"), "/dev", writable=True)
        self.mount(Path(sys.prefix), "/opt/venv")
        for folder in _IMAGE_FOLDERS:
            self.mount(ROOT / folder, f"/opt/pipeline/{folder}")
        self.mount(hosts, "/etc/hosts")

    def mount(self, source: Path, path: str, writable: bool = False) -> None:
        """Shows `source` in the container at `path`."""
        self._binds.append((source, path, writable))

    def start(self, variables: dict[str, str]) -> None:
        """Starts the command with these variables, after those of the image.

        Raises:
          PermissionError: Where the runtime would refuse, in its words.
        """
        user, setpriv = self._privileges()
        variables = {**_IMAGE_ENVIRONMENT, **variables}
        given = [*self.specification.get("command", []), *self.specification.get("args", [])]
        script = [f"hostname {self._hostname()}"]
        for source, path, writable in self._binds:
            target = self._root / path.lstrip("/")
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            script.append(f"mount --rbind {source} {target}")
            if not writable:
                script.append(f"mount -o remount,ro,bind {target}")
        script += [f"mount -t proc proc {self._root}/proc", f'exec chroot {self._root} "$@"']
        command = [
            "ip", "netns", "exec", self._network.name,
            "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child",
            "bash", "-ec", "\n".join(script), "pod",
            "/usr/bin/env", "--chdir=/opt/pipeline", "-i",
            *(f"{name}={value}" for name, value in variables.items()),
            "/usr/bin/setpriv", *setpriv, *(expand(part, variables) for part in given),
        ]  # fmt: skip
        assert user or not self._context("runAsNonRoot")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def status(self) -> int | None:
        """The command's exit status as a container runtime counts it; None while it runs."""
        code = None if self._process is None else self._process.poll()
        if code is not None and self._killed:
            return 128 + signal.SIGKILL  # of which `unshare` makes a 1
        return code if code is None or code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        """Sends a signal to process 1, as a container runtime does."""
        if (first := self._first()) is not None:
            os.kill(first, number)
            self._killed = number == signal.SIGKILL

    def end(self, grace_seconds: float) -> None:
        """SIGTERM at the first call, SIGKILL once the grace period is over; to be called until it has ended."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + grace_seconds
            self.signal(signal.SIGTERM)
        elif time.monotonic() > self._kill_at:
            self.signal(signal.SIGKILL)

    def remove(self) -> None:
        """Ends it at once, if it runs, and removes all but its log."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._root, ignore_errors=True)

    def _first(self) -> int | None:
        """The host's number of process 1: `unshare`, which became the Popen's process, has it as its only child."""
        if self._process is None or self._process.poll() is not None:
            return None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _hostname(self) -> str:
        name = self.pod["spec"].get("hostname") or self.pod["metadata"]["name"]
        return name[:63].rstrip("-.")

    def _context(self, key: str) -> Any:
        """A setting of the container's security context, or else of the pod's."""
        own, shared = (
            self.specification.get("securityContext", {}),
            self.pod["spec"].get("securityContext", {}),
        )
        return own.get(key, shared.get(key))

    def _privileges(self) -> tuple[int, list[str]]:
        """User id, and setpriv's flags for all that the security contexts say."""
        user, group = self._context("runAsUser"), self._context("runAsGroup")
        user = IMAGE_USER if user is None else user
        if self._context("runAsNonRoot") and user == 0:
            raise PermissionError("container has runAsNonRoot and image will run as root")
        flags = [f"--reuid={user}", f"--regid={IMAGE_GROUP if group is None else group}"]
        shared = self.pod["spec"].get("securityContext", {}).get("fsGroup")
        flags.append("--clear-groups" if shared is None else f"--groups={shared}")
        if self._context("capabilities") == {"drop": ["ALL"]}:
            flags += ["--inh-caps=-all", "--bounding-set=-all"]
        if self._context("allowPrivilegeEscalation") is False:
            flags.append("--no-new-privs")
        return user, flags
