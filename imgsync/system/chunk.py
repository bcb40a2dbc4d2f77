"""
A piece of a stream of bytes.

Large bodies come as views of a buffer, whose bytes stay as they are as long as a view of it is left.
"""

from __future__ import annotations

Chunk = bytes | memoryview
