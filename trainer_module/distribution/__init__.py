"""Where a training runs: devices, workers, numeric precision, and how processes end."""
