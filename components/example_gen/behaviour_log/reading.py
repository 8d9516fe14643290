"""How a log and its item table are read, as one value that TFX carries; standard library only."""

import json
from dataclasses import dataclass

from components.example_gen.reading.dialect import Reading
from foundation.sections import read_section
from trainer_module.log import Log


@dataclass(frozen=True)
class LogReading:
    """What a log's columns say, and which of the item table's are read; those of the log itself are ExampleGen's."""

    log: Log
    items: Reading

    def to_json(self) -> str:
        """What `from_json` reads."""
        return json.dumps({"log": self.log.to_table(), "items": self.items.to_json()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "LogReading | None":
        """The value that `text` was made of; None of a table that is no log, ""."""
        if not text:
            return None
        values = json.loads(text)
        return cls(read_section(Log, values["log"], "[log]"), Reading.from_json(values["items"]))
