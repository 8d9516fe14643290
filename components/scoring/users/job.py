"""Recommends to the users of a log on Beam, and adds up what became of them and of its rows."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam

from components.example_gen.behaviour_log.counts import describe_no_events
from components.example_gen.behaviour_log.gathering import remove_gathered
from components.example_gen.source_format import ConversionError
from components.scoring.request import SUMMARY, Request
from components.scoring.summary import UsersSummary
from components.scoring.users.model import read_recommender
from components.scoring.users.parts import (
    EVENTS,
    LEFT_OUT,
    REASON,
    RECOMMENDATIONS,
    ROWS,
    UNKNOWN,
    USERS,
    UserScorer,
    done_file,
    recommend,
)


def recommend_to_users(
    request: Request, now: int, make_pipeline: Callable[[], beam.Pipeline]
) -> UsersSummary:
    """Asks for all users, or for those that an earlier call was stopped before.

    Args:
      request: Of a log; its directory is locked by the caller.
      now: Milliseconds since 1970: what is dated later has not happened.
      make_pipeline: Makes Beam's pipeline for it.

    Raises:
      ConversionError: If the log cannot be read, or has no event; Beam may wrap it.
    """
    assert request.log is not None
    started = time.monotonic()
    if (request.output / SUMMARY).is_file():
        # Of the same files and the same model: there is nothing left to ask for, and no file to read.
        before = json.loads((request.output / SUMMARY).read_text())
        before.update(users_before=before["users"], seconds=round(time.monotonic() - started, 2))
        return UsersSummary(**{**before, "files": tuple(before["files"])})
    done = frozenset(number for number in range(request.parts) if done_file(request.output, number).is_file())
    before_users = _add_up(request.output, done)[USERS]
    scorer = UserScorer(
        read_recommender(request.model), request.file_format, request.reading, request.log, request.k, request.version,
        str(request.output), request.form, now, request.parts, done,
    )  # fmt: skip
    counts_file = request.output / ".counts.json"
    # Of a call that was killed.
    remove_gathered(str(request.output))
    try:
        with make_pipeline() as pipeline:
            recommend(pipeline, [str(file) for file in request.files], scorer, str(counts_file))
    finally:
        remove_gathered(str(request.output))
    counts: Counter[str] = Counter(json.loads(counts_file.read_text()))
    reasons, left_out = (_beginning(counts, start) for start in (REASON, LEFT_OUT))
    if not counts[EVENTS]:
        raise ConversionError(_describe_nothing(counts, reasons, left_out))
    added = _add_up(request.output, range(request.parts))
    return UsersSummary(
        request.name, request.version, added[USERS], added[RECOMMENDATIONS], before_users, counts[ROWS], counts[EVENTS],
        sum(reasons.values()), reasons, left_out, added[UNKNOWN], round(time.monotonic() - started, 2),
        tuple(map(str, request.files)), str(request.output),
    )  # fmt: skip


def describe_progress(request: Request) -> str:
    """How far it is, in words."""
    done = [number for number in range(request.parts) if done_file(request.output, number).is_file()]
    if not done:
        return f"reading {len(request.files)} file(s) of the log, and asking for the first users"
    return (
        f"{len(done)} of {request.parts} part(s) of the users, {_add_up(request.output, done)[USERS]:,} users"
    )


def _add_up(output: Path, parts: "frozenset[int] | range | list[int]") -> Counter[str]:
    """The counts of the parts that are done."""
    total: Counter[str] = Counter()
    for number in parts:
        file = done_file(output, number)
        if file.is_file():
            total.update(json.loads(file.read_text()))
    return total


def _beginning(counts: Counter[str], start: str) -> dict[str, int]:
    return {
        name.removeprefix(start): count for name, count in sorted(counts.items()) if name.startswith(start)
    }


def _describe_nothing(counts: Counter[str], reasons: dict[str, int], left_out: dict[str, int]) -> str:
    if not reasons:
        return f"The log {describe_no_events({'rows': counts[ROWS], **left_out})}"
    listed = ", ".join(f"{count:,} {reason}" for reason, count in {**reasons, **left_out}.items())
    return (
        f"The log has {counts[ROWS]:,} rows, none of which is an event: {listed} (rejected-*.csv in the output says which); "
        "bring others, or change [log]."
    )
