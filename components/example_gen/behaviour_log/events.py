"""Events of a log as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Of some users all events: arrays of equal length.

    Attributes:
      users: pa.binary().
      items: pa.binary().
      times: int64, milliseconds since 1970.
      places: int64, of the event in the log: it breaks ties of time.
      kinds: int64, the number of its kind; None of a log without kinds.
    """

    users: pa.Array
    items: pa.Array
    times: Numbers
    places: Numbers
    kinds: Numbers | None = None
    context: Mapping[str, pa.Array] = field(default_factory=dict)
    """Column of `Log.context` → pa.binary(), the empty text where it is missing."""

    def take(self, places: Numbers) -> "Events":
        """The events at `places`."""
        wanted = pa.array(places)
        return Events(
            self.users.take(wanted),
            self.items.take(wanted),
            self.times[places],
            self.places[places],
            None if self.kinds is None else self.kinds[places],
            {name: column.take(wanted) for name, column in self.context.items()},
        )


def keep(events: Events, wanted: Any) -> Events:
    """The events where `wanted`, bool, is true."""
    return events.take(np.flatnonzero(wanted))


def together(parts: Sequence[Events]) -> Events:
    """Events of several parts as one."""
    kinds = [part.kinds for part in parts if part.kinds is not None]
    return replace(
        parts[0],
        users=pa.concat_arrays([part.users for part in parts]),
        items=pa.concat_arrays([part.items for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        places=np.concatenate([part.places for part in parts]),
        kinds=None if not kinds else np.concatenate(kinds),
        context={name: pa.concat_arrays([part.context[name] for part in parts]) for name in parts[0].context},
    )
