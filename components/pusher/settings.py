"""The ``[card]`` table of a dataset file; standard library only."""

from dataclasses import dataclass, fields

from foundation.sections import require

MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class Card:
    """The ``[card]`` table: what only people know, each a text of at most 4,000 characters, and left out where empty."""

    intended_use: str = ""
    out_of_scope: str = ""
    limits: str = ""
    data: str = ""
    owner: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            size = len(getattr(self, each.name))
            require(
                size <= MOST_CHARACTERS,
                f"{each.name} has {size:,} characters; it must have at most {MOST_CHARACTERS:,}.",
            )
