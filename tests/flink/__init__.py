"""On a real Flink, which `deploy/flink/start` starts: `make test-flink`, where Maven Central can be reached and Java is installed."""
