"""Lock files: which digest each selected tag had when it was reviewed."""
