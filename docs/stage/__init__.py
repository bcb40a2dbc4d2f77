"""Run the commands of the documentation on registries with real names."""
