"""Notes of the state about runs and loaded bundles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from imgsync.state.packed_notes import PackedNotes
from imgsync.state.snapshot import REMAINING as _LEFT
from imgsync.state.snapshot import RUN as _RUN
from imgsync.state.snapshot import SUCCESS as _SUCCESS
from imgsync.system.dataclass import dataclass

_BEGUN = "begun"
_BUNDLE = "bundle "
_LOADING = "loading"
_NO_PARENT, _INCOMPLETE = "-", "incomplete"


@dataclass(frozen=True, slots=True)
class BundleNote:
    """
    A bundle that was loaded.

    `moment` is when, the last time (RFC 3339). `parent` is the bundle that it continues, "" for none. `is_whole` is False as long as an image of it
    failed or was left over.
    """

    id: str
    parent: str
    moment: str
    is_whole: bool = True


class RunNotes(ABC):
    """The part of the state that is about runs."""

    def __init__(self, notes: dict[str, PackedNotes]) -> None:
        """Begin with *notes*, by kind."""
        self._notes = notes
        self._has_begun = False

    def begin_copies(self, moment: str) -> None:
        """
        Note that copies begin at *moment*, until `record_run_end`.

        Raises:
            StateError: The state cannot be written.
        """
        if _BEGUN not in self._notes[_RUN]:
            values: dict[str, str | None] = {}
            self._has_begun = True
            self._note(values, _RUN, _BEGUN, moment)
            self._write(values)

    def record_run_end(self, *, remaining: Iterable[str], successes: Iterable[str], requeues: int, moment: str, covers_all: bool = True) -> None:
        """
        Store how a run ended.

        Args:
            remaining: The destinations left for the next run, in order.
            successes: The mirrors that are up to date.
            requeues: How many runs in a row were requeued.
            moment: When the run ended (RFC 3339).
            covers_all: Whether the run covered every mirror, and with them what an interrupted run left.

        Raises:
            StateError: The state cannot be written.
        """
        values: dict[str, str | None] = {f"{_LEFT} {destination}": None for destination in self._notes[_LEFT]}
        self._notes[_LEFT].clear()
        for number, destination in enumerate(remaining):
            self._note(values, _LEFT, destination, f"{number:08}")
        for mirror in successes:
            self._note(values, _SUCCESS, mirror, moment)
        if self.requeues != requeues:
            self._note(values, _RUN, "requeues", str(requeues))
        if covers_all or not self.was_interrupted:
            self._notes[_RUN].pop(_BEGUN, None)
            values[f"{_RUN} {_BEGUN}"] = None
            self._has_begun = False
        self._write(values)

    @property
    def was_interrupted(self) -> bool:
        """
        Return whether an earlier run began to copy and never ended.

        Then blobs may be where no record says so.
        """
        return _BEGUN in self._notes[_RUN] and not self._has_begun

    @property
    def interrupted_at(self) -> str:
        """Return when the interrupted run began, "" if none or unknown."""
        return self._notes[_RUN].get(_BEGUN, "") if self.was_interrupted else ""

    @property
    def remaining(self) -> tuple[str, ...]:
        """Destinations that the last run left over, in its order."""
        return tuple(sorted(self._notes[_LEFT], key=self._notes[_LEFT].__getitem__))

    @property
    def requeues(self) -> int:
        """How many runs in a row were requeued."""
        text = self._notes[_RUN].get("requeues", "")
        return int(text) if text.isdecimal() and len(text) < 10 else 0

    @property
    def last_successes(self) -> Mapping[str, str]:
        """When each mirror was last up to date (RFC 3339)."""
        return self._notes[_SUCCESS]

    @property
    def loading_bundle(self) -> str:
        """Return the bundle that an interrupted run loaded, or ""."""
        return self._notes[_RUN].get(_LOADING, "") if self.was_interrupted else ""

    def begin_bundle(self, bundle: str) -> bool:
        """
        Note that the bundle with this id is loaded.

        Return whether the end of this run ends an interruption too: there was none, or it was of the same bundle.

        Raises:
            StateError: The state cannot be written.
        """
        if self.was_interrupted:
            return self.loading_bundle == bundle
        values: dict[str, str | None] = {}
        self._note(values, _RUN, _LOADING, bundle)
        self._write(values)
        return True

    @property
    def loaded_bundles(self) -> tuple[BundleNote, ...]:
        """Return the bundles that were loaded, the last one last."""
        found = (_read_bundle(about.removeprefix(_BUNDLE), text) for about, text in self._notes[_RUN].items() if about.startswith(_BUNDLE))
        return tuple(sorted(found, key=lambda one: one.moment))

    def record_bundle(self, note: BundleNote) -> None:
        """
        Store that a bundle was loaded; what was whole once stays so.

        Raises:
            StateError: The state cannot be written.
        """
        values: dict[str, str | None] = {}
        is_whole = note.is_whole or any(one.id == note.id and one.is_whole for one in self.loaded_bundles)
        fields = (note.moment, note.parent or _NO_PARENT, *(() if is_whole else (_INCOMPLETE,)))
        self._note(values, _RUN, f"{_BUNDLE}{note.id}", " ".join(fields))
        self._write(values)

    def _note(self, values: dict[str, str | None], kind: str, about: str, text: str) -> None:
        self._notes[kind][about] = values[f"{kind} {about}"] = text

    @abstractmethod
    def _write(self, values: dict[str, str | None]) -> None:
        """Write *values* by key, None to remove one."""


def _read_bundle(name: str, text: str) -> BundleNote:
    moment, parent, *rest = (*text.split(" "), _NO_PARENT)
    return BundleNote(name, "" if parent == _NO_PARENT else parent, moment, is_whole=_INCOMPLETE not in rest)
