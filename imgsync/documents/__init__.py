"""The JSON documents and their values, both ways: a plan that was saved is a plan again (design.md §4)."""
