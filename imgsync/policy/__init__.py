"""What an image has to satisfy before it is copied (`require`): asked of its source, by digest, never of what is remembered."""
