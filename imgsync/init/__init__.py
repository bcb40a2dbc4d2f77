"""Create a new mirror repository: render its files, and write them without overwriting."""
