"""A state kept in a registry, as an OCI artifact under a tag, so that it travels from run to run and from machine to machine."""

from imgsync.remote_state.reference import is_remote, local_directory, parse_remote
from imgsync.remote_state.sync import RemoteState

__all__ = ["RemoteState", "is_remote", "local_directory", "parse_remote"]
