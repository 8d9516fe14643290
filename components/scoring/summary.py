"""What became of what was to be predicted: for people, for `summary.json` and for a step's metadata."""

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class RowsSummary:
    """What became of a table's rows.

    Attributes:
      dataset: Its name.
      model_version: That predicted.
      rows: How many were predicted, those of an earlier call that was stopped among them.
      rejected: How many the model could not read.
      predicted_before: How many an earlier call had predicted.
      seconds: That this call took.
      files: Of the table.
      output: The directory.
    """

    dataset: str
    model_version: str
    rows: int
    rejected: int
    predicted_before: int
    seconds: float
    files: tuple[str, ...]
    output: str

    @property
    def counts(self) -> dict[str, int]:
        """Name → number, as metadata."""
        return {name: getattr(self, name) for name in ("rows", "rejected", "predicted_before")}

    @property
    def facts(self) -> dict[str, str]:
        """What is counted, in words → how many, as a report shows it."""
        return {
            "rows predicted": f"{self.rows:,}",
            "of them by an earlier attempt": f"{self.predicted_before:,}",
            "rows rejected": f"{self.rejected:,}",
        }

    def __str__(self) -> str:
        again = f", {self.predicted_before:,} of them by an earlier call" if self.predicted_before else ""
        why = " (rejected-*.csv says why)" if self.rejected else ""
        speed = (self.rows - self.predicted_before) / max(self.seconds, 0.01)
        return (
            f"rows          {self.rows:,} predicted{again}, {self.rejected:,} rejected{why}\n"
            f"seconds       {self.seconds:.1f}, {speed:,.0f} rows a second\n"
            f"output        {self.output}"
        )


@dataclass(frozen=True)
class UsersSummary:
    """What became of a log's rows and users.

    Attributes:
      dataset: Its name.
      model_version: That recommends.
      users: Who have an event, each asked about once; those of an earlier call that was stopped among them.
      recommendations: How many items they were recommended, all together.
      users_before: How many an earlier call had asked about.
      rows: Of the log.
      events: How many of them are events.
      rejected: Rows that are no events because something in them is missing or wrong.
      reasons: What → how many of those.
      left_out: Rows that are no events because ``[log]`` says so, by reason.
      unknown: Events of items that the model does not know; it passes over them.
      seconds: That this call took.
      files: Of the log.
      output: The directory.
    """

    dataset: str
    model_version: str
    users: int
    recommendations: int
    users_before: int
    rows: int
    events: int
    rejected: int
    reasons: dict[str, int]
    left_out: dict[str, int]
    unknown: int
    seconds: float
    files: tuple[str, ...]
    output: str

    @property
    def counts(self) -> dict[str, int]:
        """Name → number, as metadata."""
        names = ("users", "recommendations", "users_before", "rows", "rejected")
        return {name: getattr(self, name) for name in names}

    @property
    def facts(self) -> dict[str, str]:
        """What is counted, in words → how many, as a report shows it."""
        facts = {
            "users": f"{self.users:,}",
            "of them by an earlier attempt": f"{self.users_before:,}",
            "recommendations": f"{self.recommendations:,}",
            "rows": f"{self.rows:,}",
            "events": f"{self.events:,}",
            "events of items that the model does not know": f"{self.unknown:,}",
            "rows rejected": f"{self.rejected:,}",
        }
        listed = {
            f"rows {reason}": f"{count:,}" for reason, count in {**self.reasons, **self.left_out}.items()
        }
        return {**facts, **listed}

    def __str__(self) -> str:
        again = f", {self.users_before:,} of them by an earlier call" if self.users_before else ""
        why = " (rejected-*.csv says which)" if self.rejected else ""
        reasons = {**self.reasons, **self.left_out}
        listed = "".join(f"; {count:,} {reason}" for reason, count in reasons.items())
        speed = (self.users - self.users_before) / max(self.seconds, 0.01)
        return (
            f"users         {self.users:,}{again}, {self.recommendations:,} recommendations\n"
            f"log           {self.rows:,} rows, {self.events:,} events, {self.unknown:,} of them of items that the model "
            f"does not know\n"
            f"rejected      {self.rejected:,} rows{why}{listed}\n"
            f"seconds       {self.seconds:.1f}, {speed:,.0f} users a second\n"
            f"output        {self.output}"
        )


Summary = RowsSummary | UsersSummary


def to_json(summary: Summary) -> str:
    """What the file `SUMMARY` has."""
    return json.dumps(dataclasses.asdict(summary), indent=2) + "\n"
