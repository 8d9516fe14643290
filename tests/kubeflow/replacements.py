"""What Argo, KFP's driver and Kubernetes replace in the texts that pass through them.

Written from `util/template` of argoproj/argo-workflows, and `third_party/forked/golang/expansion` of
kubernetes/kubernetes.
"""

import json
import re
from collections.abc import Mapping

KNOWN = {"workflow.name": "taxi-x7k2p", "workflow.uid": "5e1c", "retries": "0"}
"""Some of Argo's variables."""

LARGEST_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument of a process on Linux: MAX_ARG_STRLEN without the zero at its end."""


def argo(document: str) -> str:
    """A JSON text after Argo; what it does not know, it leaves."""

    def replace(found: re.Match[str]) -> str:
        tag = found[1].strip()
        return "evaluated" if tag.startswith("=") else KNOWN.get(tag, found[0])

    return re.sub(r"\{\{(.*?)\}\}", replace, document, flags=re.DOTALL)


def kubernetes(text: str, environment: Mapping[str, str]) -> str:
    """An argument or a value of the environment after Kubernetes; a variable it does not know, it leaves."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else environment.get(found[1], found[0])

    return re.sub(r"\$(?:\$|\(([^)]*)\))", replace, text)


def go_json(document: object) -> str:
    """A document as Go's encoding/json writes it."""
    text = json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
