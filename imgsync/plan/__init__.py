"""What would happen: enumerate sources, select tags, decide per reference. Changes nothing."""
