"""List repositories and tags, with one module per registry API."""
