"""Metrics for the textfile collector of Prometheus's node-exporter."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foundation.sections import ConfigurationError, require
from pipeline.notify.channel import News, NotificationChannel


@dataclass(frozen=True)
class Channel(NotificationChannel):
    """Writes the metrics of every run so far."""

    textfile_directory: str | None = None
    """Of node-exporter's textfile collector; gets `tfx_pipeline_<pipeline>.prom`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.textfile_directory is None or self.textfile_directory.startswith("/"),
            f"textfile_directory is {self.textfile_directory!r}; it must be an absolute path.",
        )

    def check(self, environment: Mapping[str, str]) -> None:
        """The directory must be there."""
        if self.textfile_directory is not None and not Path(self.textfile_directory).is_dir():
            raise ConfigurationError(
                f"[notify] textfile_directory {self.textfile_directory} is not a directory: make it, and give "
                "it to node-exporter as --collector.textfile.directory."
            )

    def send(self, news: News) -> list[str]:
        """Replaces the file."""
        if self.textfile_directory is None:
            return []
        from prometheus_client import write_to_textfile

        from pipeline.notify.exposition import JOB, make_registry

        path = Path(self.textfile_directory) / f"{JOB}_{news.pipeline}.prom"
        try:
            write_to_textfile(str(path), make_registry(news))
        except OSError as error:
            return [f"the metrics could not be written to {path} ({error.strerror})."]
        return []
