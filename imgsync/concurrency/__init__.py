"""Concurrency with gevent: workers, single flight, stop, deadlines, threads, signals."""
