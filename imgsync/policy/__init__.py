"""Check images against `require` before they are copied."""
