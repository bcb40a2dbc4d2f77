"""The tests; compiled once, even where Python is not to keep compiled files."""

import os
import sys

# The suite starts Python some hundred times, and pytest rewrites each assertion: without these files that takes longer than many tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
