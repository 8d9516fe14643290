"""What was counted when a log was read, and what is said of it; standard library only."""

from collections.abc import Iterator, Mapping

COUNTS, ITEM_COUNTS = "log.json", "items.json"
"""Files beside the splits: how many events there are, and how many rows were none, by reason; the same of items."""

UNIDENTIFIED, NOT_WHERE, EXCLUDED, FUTURE, OTHER_KIND = (
    "without user, item or time", "not where [log] where holds", "of excluded items", "dated after the run",
    "of no kind that [log.events] weights names",
)  # fmt: skip
"""Why rows are dropped, in words that follow a number of rows."""

LATE = "not later than what a span before has of their user"
"""Events that are no targets, in words that follow a number: they are known to later ones."""

DOUBLED, UNLISTED, UNAVAILABLE = (
    "items that the item table has several times",
    "items of the log that the item table lacks",
    "items that [log] available does not hold of, or that the item table lacks",
)
"""What is odd about items, in words that follow a number."""


def describe_no_events(log: Mapping[str, int]) -> str:
    """What follows "The log": that it has rows and none of them is an event, with the reasons, and what to do."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in _reasons(log).items())
    return (
        f"has {log.get('rows', 0):,} rows, none of which is an event{f': {reasons}' if reasons else ''}; bring others, or "
        "change [log]."
    )


def _reasons(log: Mapping[str, int]) -> dict[str, int]:
    every = (UNIDENTIFIED, NOT_WHERE, OTHER_KIND, EXCLUDED, FUTURE)
    return {reason: log[reason] for reason in every if log.get(reason)}


def describe_counts(log: Mapping[str, int], items: Mapping[str, int]) -> Iterator[str]:
    """Sentences for the user about rows that were dropped, and about items that the table has not, or has twice."""
    if reasons := _reasons(log):
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        yield f"{sum(reasons.values()):,} of {log['rows']:,} rows of the log are no events: {listed}"
    if log.get(LATE):
        yield f"{log[LATE]:,} events are {LATE}: they are neither learned from nor judged, and known to later ones"
    if items.get(DOUBLED):
        yield f"{items[DOUBLED]:,} {DOUBLED}: the first row of each counts"
    if items.get(UNLISTED):
        yield f"{items[UNLISTED]:,} {UNLISTED}: they have no features"
    if items.get(UNAVAILABLE):
        yield f"{items[UNAVAILABLE]:,} {UNAVAILABLE}: they are known, and not recommended"
