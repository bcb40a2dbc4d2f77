"""A new mirror repository: the files it begins with (`files`), and their writing, never over what is there (`write`)."""
