"""List repositories and tags; one module per registry API."""
