"""Storms of faults: one at each place, many at random; afterwards everything must be as declared."""
