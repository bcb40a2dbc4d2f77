"""Check what images must satisfy before they are copied (`require`)."""
