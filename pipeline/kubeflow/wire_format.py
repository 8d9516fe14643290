"""How a setting's text reaches a step: the same text, whatever its characters and its size.

Between the compiled file and a step's process, three programs replace parts of every text: Argo
`{{name}}` and `{{=expression}}` (`util/template` of argoproj/argo-workflows), KFP's driver and launcher
`{{$…}}` (`resolve.go` and `launcher_v2.go` of kubeflow/pipelines), and Kubernetes `$(NAME)` and `$$`
(`third_party/forked/golang/expansion` of kubernetes/kubernetes). And KFP hands the whole graph, every
parameter of every step in it, to its root driver as one argument, of which Linux takes 128 KiB. So:

- a text without such characters travels as it is, and is what KFP's page shows;
- where two characters would begin something to replace, BREAK keeps them apart: `{¦{`, `$¦(`, `$¦$`;
- a large text travels compressed, in an environment variable of the one step that needs it, and the
  parameter shows how long it is, its SHA-256 and how it begins.

KFP's cache key holds parameters, arguments and image, but not the environment. The digest in the
parameter stands for the text there: another text is another key, and the same text the same key, even
where another build of the compressor makes other bytes.
"""

import base64
import binascii
import bz2
import hashlib
import json
import re
from collections.abc import Mapping

from foundation.sections import ConfigurationError

BREAK = "¦"
"""Keeps apart what would be replaced together. Between such characters, and at the beginning of a
text, one of it is added, and one taken away on arrival; everywhere else it means itself."""

REPLACED = re.compile(r"\{\{|\$\(|\$\$")
"""What no text that goes to a cluster may contain."""

LARGEST_SHOWN = 8 * 1024
"""Bytes, as JSON, of a text that travels as it is. Ten of a graph's parameters grow with its table:
this much of each leaves a third of the argument of the root driver to all the rest."""

VARIABLE = "SETTING_"
"""Prefix of the environment variables of large texts; the text's SHA-256 follows."""

_TOGETHER = re.compile(rf"\{{{BREAK}*(?=\{{)|\${BREAK}*(?=[$(])")
_APART = re.compile(rf"\{{{BREAK}+(?=\{{)|\${BREAK}+(?=[$(])")
_LARGE = re.compile(
    rf"{BREAK} [0-9]+ characters in ({VARIABLE}[0-9a-f]{{64}}), which begin with: .*", re.DOTALL
)
_SHOWN_CHARACTERS = 500


def escape(text: str) -> str:
    """`text` without anything that is replaced on its way; `unescape` brings it back."""
    apart = _TOGETHER.sub(lambda match: match.group() + BREAK, text)
    return BREAK + apart if text.startswith(BREAK) else apart


def unescape(text: str) -> str:
    """The text that `escape` was given; a text that needed no escaping is left as it is."""
    together = _APART.sub(lambda match: match.group()[:-1], text)
    return together.removeprefix(BREAK)


def pack(text: str) -> tuple[str, dict[str, str]]:
    """The parameter that stands for `text`, and the environment variables that it needs."""
    if len(json.dumps(text)) <= LARGEST_SHOWN:
        return escape(text), {}
    content = text.encode()
    variable = VARIABLE + hashlib.sha256(content).hexdigest()
    beginning = escape(text[:_SHOWN_CHARACTERS])
    shown = f"{BREAK} {len(text)} characters in {variable}, which begin with: {beginning}"
    # Of the standard library's compressors the best for a list of columns: half of what zlib leaves.
    return shown, {variable: base64.b64encode(bz2.compress(content)).decode()}


def unpack(shown: str, environment: Mapping[str, str]) -> str:
    """The text that `pack` was given.

    Raises:
      ConfigurationError: If its environment variable is missing, or holds another text.
    """
    large = _LARGE.fullmatch(shown)
    if not large:
        return unescape(shown)
    variable = large[1]
    try:
        content = bz2.decompress(base64.b64decode(environment[variable], validate=True))
    except (KeyError, binascii.Error, OSError, ValueError):
        content = b""
    if VARIABLE + hashlib.sha256(content).hexdigest() != variable:
        raise ConfigurationError(
            f"The step's environment variable {variable} is missing or damaged: compile and upload the "
            "pipeline again, and leave the steps' environment as it is compiled."
        )
    return content.decode()
