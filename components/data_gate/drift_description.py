"""What changed between two sets of statistics, in words that a person can act on."""

from components.data_gate.distance import LABEL_COLUMN, SERVING
from components.data_gate.merged_statistics import FeatureStatistics, counts_of, name_of

# A median that moved by less is told with the range, where the change may be.
_FACTOR = 1.2


def describe_texts(new: FeatureStatistics, old: FeatureStatistics, against: str) -> str:
    """The value whose share changed most, and a frequent value that is new."""
    now, before = _shares(new), _shares(old)
    changes = {value: now.get(value, 0.0) - before.get(value, 0.0) for value in {*now, *before}}
    # Of two that changed alike, as those of a binary label do, the one that rose.
    value = max(sorted(changes), key=lambda each: (round(abs(changes[each]), 9), changes[each]))
    shown = f"class {value!r}" if name_of(new).startswith(LABEL_COLUMN) else repr(value)
    is_share, was_share = now.get(value, 0.0), before.get(value, 0.0)
    if against == SERVING:
        return f"{shown}: {_percent(is_share)} of rows, {_percent(was_share)} of requests"
    parts = [_describe_share(shown, is_share, was_share)]
    fresh = sorted(each for each in now if each not in before and each != value)
    if fresh:
        most = max(fresh, key=lambda each: now[each])
        parts.append(f"{len(fresh)} new value(s), the most frequent {most!r}, {_percent(now[most])} of rows")
    return "; ".join(parts)


def describe_numbers(new: FeatureStatistics, old: FeatureStatistics, against: str) -> str:
    """The median and, where that stays, mean and range."""
    now, before = new.num_stats, old.num_stats
    times = _times(now.median, before.median)
    if against == SERVING:
        return f"median {now.median:.4g} in rows, {before.median:.4g} in requests{times}"
    shown = f"median {before.median:.4g} -> {now.median:.4g}{times}"
    if times:
        return shown
    return (
        f"{shown}, mean {before.mean:.4g} -> {now.mean:.4g}{_times(now.mean, before.mean)}, "
        f"range {before.min:.4g} to {before.max:.4g} -> {now.min:.4g} to {now.max:.4g}"
    )


def describe_missing(is_share: float, was_share: float, against: str) -> str:
    """How many rows have a value: shares in [0, 1] of the new rows, and of what they are compared with."""
    if against == SERVING:
        shown = f"{_percent(is_share)} of rows have a value, {_percent(was_share)} of requests"
        return f"the column is missing in requests: {shown}" if was_share == 0 else shown
    if is_share == 0:
        return f"the column vanished: {_percent(was_share)} of rows had a value, now none"
    if was_share == 0:
        return f"the column appeared: no row had a value, now {_percent(is_share)}"
    return f"{_percent(was_share)} of rows had a value, now {_percent(is_share)}"


def _describe_share(shown: str, now: float, before: float) -> str:
    if not before:
        return f"new value {shown}, {_percent(now)} of rows"
    if not now:
        return f"{shown} vanished, it was in {_percent(before)} of rows"
    if _percent(now) == _percent(before):
        return f"{shown} stays at {_percent(now)} of rows"
    verb = "rose" if now > before else "fell"
    return f"{shown} {verb} from {_percent(before)} to {_percent(now)} of rows"


def _shares(feature: FeatureStatistics) -> dict[str, float]:
    counts = counts_of(feature)
    total = sum(counts.values())
    return {value: count / total for value, count in counts.items()} if total else {}


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def _times(now: float, before: float) -> str:
    """ ", 100 times" where one is a multiple of the other that says something."""
    if now * before <= 0:
        return ""
    factor = now / before
    if 1 / _FACTOR < factor < _FACTOR:
        return ""
    return f", {factor:.3g} times" if factor > 1 else f", divided by {1 / factor:.3g}"
