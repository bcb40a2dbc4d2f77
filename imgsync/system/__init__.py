"""The operating system: standard streams, atomic writes, lazy imports."""
