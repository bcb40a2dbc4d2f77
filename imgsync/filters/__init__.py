"""Select tags and names: globs, versions, tag filters."""
