"""Tests of the files in deploy/: systemd, compose, Prometheus, Grafana."""
