"""A part of a file that one worker converts, and the one error that conversion raises."""

from dataclasses import dataclass

from foundation.sections import UserError


class ConversionError(UserError, ValueError):
    """The data cannot be converted; the message is one sentence for a person."""


@dataclass(frozen=True)
class Block:
    """The `number`-th part of the `file_number`-th file: what `start` and `end` mean, its reader says."""

    file: str
    file_number: int
    number: int
    start: int = 0
    end: int = 0

    @property
    def shard(self) -> str:
        """The name of the file that this block's examples of a split go to."""
        return f"data_tfrecord-{self.file_number:05d}-{self.number:05d}.gz"
