"""Render plans, reports and errors as text; prints nothing."""
