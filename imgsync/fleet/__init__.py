"""A coordinator that divides a plan, and workers that copy its parts."""
