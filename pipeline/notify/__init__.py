"""Who hears of a run: Prometheus, and people through a webhook."""
