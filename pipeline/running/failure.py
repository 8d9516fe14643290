"""How a failed run reports its error."""

from collections.abc import Iterator
from typing import Any

from foundation.sections import UserError


def explain(error: BaseException) -> str:
    """The error as a user should read it: our own errors whole, others by type and first line."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "interrupted; the next run starts where this one stopped."
    ours = find_user_error(error)
    if ours is not None:
        return str(ours)
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def find_user_error(error: BaseException) -> UserError | None:
    """The error written for the user that lies in `error`, however deep: Beam and TFX raise others from it."""
    return next((seen for seen in _chain(error) if isinstance(seen, UserError)), None)


def drift_of(error: BaseException) -> tuple[dict[str, Any], ...]:
    """What the data gate measured before it failed; TFX removes the outputs of a failed step."""
    for seen in _chain(error):
        if type(seen).__name__ == "DataGateError":
            return tuple(seen.report.get("drift", ()))  # type: ignore[attr-defined]
    return ()


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
