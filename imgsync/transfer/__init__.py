"""The copy engine: one image to one destination, bottom up; each blob once per destination registry and run, each source byte read once."""

from imgsync.transfer.copier import Copier
from imgsync.transfer.known_blobs import BlobMemory
from imgsync.transfer.model import Copied, Job, Observer, Progress

__all__ = ["BlobMemory", "Copied", "Copier", "Job", "Observer", "Progress"]
