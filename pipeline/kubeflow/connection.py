"""The connection to a Kubeflow Pipelines server: who we are, how long we wait, and what errors mean."""

import contextlib
import http.client
import json
import logging
import re
import signal
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from foundation.sections import ConfigurationError, UserError

_LOG = logging.getLogger(__name__)

# Where Kubeflow projects a pod's token for Pipelines (`ServiceAccountTokenVolumeCredentials` of kfp.client).
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")


class ServerError(UserError, RuntimeError):
    """Kubeflow Pipelines refused or did not answer; the message is one sentence with the fix."""


@dataclass(frozen=True)
class Server:
    """Where Kubeflow Pipelines is, and how it knows us."""

    host: str
    namespace: str | None = None
    token: str | None = None
    cookies: str | None = None
    seconds: int = 60

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/]", self.host):
            raise ConfigurationError(
                f"--host {self.host} must be a URL such as http://localhost:8080, where "
                "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80` makes it answer."
            )

    @property
    def bearer(self) -> str | None:
        """The token that was given, or the one of the pod that this is; None with cookies, or outside a pod."""
        if self.token or self.cookies or not SERVICE_ACCOUNT_TOKEN.is_file():
            return self.token
        return SERVICE_ACCOUNT_TOKEN.read_text().strip()


@contextlib.contextmanager
def asking(server: Server, purpose: str) -> Iterator[None]:
    """Turns errors of the network and the server into one sentence, and ends what takes too long.

    Raises:
      ServerError: With what to do.
      Exception: Whatever else is raised inside: of a mistake in this code or in kfp's client the traceback is
        needed.
    """
    try:
        # kfp's client prints links of its own; kubeflow_runner.py says what was done.
        with _deadline(server.seconds), contextlib.redirect_stdout(None):
            yield
    except Exception as error:
        if not _comes_from_server(error):
            raise
        raise _explain(error, purpose, server) from error


def check_health(server: Server) -> str:
    """Asks whether the server is up; the client itself would try for half a minute in silence.

    Returns:
      The server's release, such as "2.16.1", as its build calls it; "" where it does not say.

    Raises:
      ServerError: If it refuses, does not answer, or is something else.
    """
    login = {"Authorization": server.bearer and f"Bearer {server.bearer}", "Cookie": server.cookies}
    headers = {name: value for name, value in login.items() if value}
    request = urllib.request.Request(f"{server.host.rstrip('/')}/apis/v2beta1/healthz", headers=headers)
    if headers and _is_overheard(server.host):
        _LOG.warning(
            "%s is plain http: whoever is between can read the token or cookies; use https.", server.host
        )
    try:
        with urllib.request.build_opener(_SameOrigin).open(request, timeout=server.seconds) as answer:
            health = dict(json.load(answer))
    except (ValueError, TypeError) as error:
        raise ServerError(
            f"{server.host} is not Kubeflow Pipelines, or a login page stands before it: check --host, and "
            "give --token-file or --cookies-file."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _explain(error, "connect", server) from error
    # `tag_name` is the API server's (backend/src/apiserver/main.go). KFP's UI, which usually stands before the
    # API, answers this one path itself and renames it (frontend/server/handlers/healthz.ts).
    return str(health.get("tag_name") or health.get("apiServerTagName") or "")


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follows redirects, with our token and cookies to the same server only; kfp's client, by urllib3, does so too."""

    def redirect_request(self, req: urllib.request.Request, *answer: Any) -> urllib.request.Request | None:
        """See the class; `answer` ends with the new address."""
        following = super().redirect_request(req, *answer)
        if following is not None and _origin(following.full_url) != _origin(req.full_url):
            for name in ("Authorization", "Cookie"):
                following.remove_header(name)
        return following


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _is_overheard(host: str) -> bool:
    """Whether a connection goes over a network without encryption."""
    parts = urllib.parse.urlsplit(host)
    return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _comes_from_server(error: Exception) -> bool:
    # Here and not above: the generated client takes a while to import, and --help needs neither.
    import urllib3.exceptions
    from kfp_server_api.exceptions import ApiException

    return _is_expired(error) or isinstance(
        error,
        (
            ApiException, urllib3.exceptions.HTTPError, urllib.error.URLError, http.client.HTTPException,
            ConnectionError, TimeoutError, ssl.SSLError,
        ),
    )  # fmt: skip


def _explain(error: Exception, purpose: str, server: Server) -> ServerError:
    status = getattr(error, "status", None) or getattr(error, "code", None)
    message = _message(error)
    match status:
        case 401:
            text = "asks who you are (401): give --token-file or --cookies-file with a valid login."
        case 403:
            text = f"does not allow this account to {purpose} (403): ask its administrator{message}."
        case 404:
            text = (
                f"finds nothing there when asked to {purpose} (404){message}: check --host and --namespace."
            )
        case 409:
            text = f"reports a conflict when asked to {purpose} (409){message}: another submission may be running; try again."
        case int() if status >= 500:
            text = f"failed when asked to {purpose} ({status}){message}: try again, or look at the ml-pipeline pod's log."
        case int():
            text = f"refused to {purpose} ({status}){message}."
        case _ if _is_timeout(error):
            text = f"did not answer within {server.seconds} s when asked to {purpose}: try again, or check the network."
        case _:
            text = f"cannot be reached ({_reason(error)}): check --host, or start `kubectl port-forward`."
    return ServerError(f"{server.host} {text}")


def _message(error: Exception) -> str:
    body = getattr(error, "body", None)
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        document = json.loads(body or "")
        said = str(document.get("message") or document.get("error") or "").strip().splitlines()
        if said:
            return f": {said[0][:300].rstrip('.')}"
    return ""


class _Expired(Exception):
    """Not a TimeoutError: urllib3 takes that for a slow socket, and tries again without a limit."""


def _is_expired(error: BaseException | None) -> bool:
    """Whether our own alarm stopped it, whatever the libraries have wrapped that in."""
    return any(isinstance(seen, _Expired) for seen in _chain(error))


def _is_timeout(error: BaseException) -> bool:
    return any(
        isinstance(seen, (TimeoutError, _Expired)) or isinstance(getattr(seen, "reason", None), TimeoutError)
        for seen in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason).split("\n")[0][:200] or type(error).__name__


@contextlib.contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Raises _Expired after `seconds`; kfp's client waits indefinitely and takes no time-out."""

    def expire(signum: int, frame: FrameType | None) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)
