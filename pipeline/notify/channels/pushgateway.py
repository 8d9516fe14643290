"""Metrics for Prometheus's Pushgateway, where machines come and go."""

from dataclasses import dataclass

from foundation.sections import require
from pipeline.notify.channel import News, NotificationChannel
from pipeline.notify.delivery import attempt, is_url, without_secrets


@dataclass(frozen=True)
class Channel(NotificationChannel):
    """Pushes the metrics of every run so far, a pipeline in a group of its own."""

    pushgateway: str | None = None
    """URL of a Pushgateway."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.pushgateway is None or is_url(self.pushgateway),
            "pushgateway must be a URL such as http://host:9091, without user and password.",
        )

    def send(self, news: News) -> list[str]:
        """Replaces the pipeline's group."""
        if self.pushgateway is None:
            return []
        from prometheus_client import push_to_gateway

        from pipeline.notify.exposition import JOB, make_registry

        url, registry = self.pushgateway, make_registry(news)
        grouping = {"pipeline": news.pipeline}

        def push() -> None:
            push_to_gateway(
                url, job=JOB, registry=registry, grouping_key=grouping, timeout=self.timeout_seconds
            )

        problem = attempt(self, push)
        return (
            [f"the Pushgateway {without_secrets(url)} did not take the metrics ({problem})."]
            if problem
            else []
        )
