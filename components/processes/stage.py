"""A stage of a Beam pipeline whose elements are parts of work, done by processes of this machine or by Beam's workers."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from components.processes.division import divide


class ForEach(beam.PTransform):
    """What `make(*given)` gives of each element.

    Beam's own processes import TensorFlow for every pipeline and stage, which cost more than they brought
    (`docs/performance.md`): here elements are handed to workers that stay.
    """

    def __init__(self, make: Callable[..., Callable[[Any], Any]], processes: int | None, *given: Any) -> None:
        """Adds the stage.

        Args:
          make: Called once in each process; with the elements it is pickled.
          processes: Of this machine; None where Beam divides the work.
          given: Side inputs, and values.
        """
        super().__init__()
        self._make, self._processes, self._given = make, processes, given

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """See the base class."""
        if self._processes is None:
            return parts | beam.ParDo(_Each(self._make), *self._given)
        return (
            parts
            | "Together" >> beam.combiners.ToList()
            | "Divide" >> beam.ParDo(_Divide(self._make, self._processes), *self._given)
        )


class _Each(beam.DoFn):
    """One element after the other."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]]) -> None:
        self._make = make
        self._work: Callable[[Any], Any] | None = None

    @no_annotations  # Beam takes that of `*given` for a tuple's.
    def process(self, part: Any, *given: Any) -> Iterator[Any]:
        """Does a part; side inputs of a pipeline without windows are the same for all."""
        if self._work is None:
            self._work = self._make(*given)
        yield self._work(part)


class _Divide(beam.DoFn):
    """All elements at once."""

    def __init__(self, make: Callable[..., Callable[[Any], Any]], processes: int) -> None:
        self._make, self._processes = make, processes

    @no_annotations  # As above.
    def process(self, parts: list[Any], *given: Any) -> list[Any]:
        """Does them."""
        return divide(functools.partial(self._make, *given), parts, self._processes)
