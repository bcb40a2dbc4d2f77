"""Create a new mirror repository; existing files are never overwritten."""
