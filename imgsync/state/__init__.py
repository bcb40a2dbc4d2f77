"""What earlier runs pushed: a cache. Losing it costs requests, never correctness."""

from imgsync.state.blob_note import SeenBlobs
from imgsync.state.open import open_state
from imgsync.state.record import Record
from imgsync.state.snapshot import Snapshot
from imgsync.state.store import StateStore

__all__ = ["Record", "SeenBlobs", "Snapshot", "StateStore", "open_state"]
