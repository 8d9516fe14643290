"""What a run is told: a dataset file, a profile and overrides, checked and put together."""

from pipeline.config.loading import ROOT, Config, load

__all__ = ["ROOT", "Config", "load"]
