"""
Hold a lease, or stand by.

Clocks of different machines are never compared. A holder counts from the moment at which it sent its last renewal, others from the moment at which they
first saw the Lease as it is. So the holder is always the first whose time is over, by a third of the duration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from imgsync.concurrency.greenlets import Event, call_every, spawn
from imgsync.concurrency.stop import Stop
from imgsync.errors import ImgsyncError
from imgsync.logs.logger import Logger
from imgsync.serve.lease.api import LeaseApi, LeaseConflictError
from imgsync.serve.lease.clocks import ReadClocks, Stopwatch, read_clocks
from imgsync.serve.lease.record import LeaseRecord, write_held, write_released
from imgsync.serve.lease.term import Term
from imgsync.serve.lease.timing import LeaseTiming
from imgsync.serve.views import LeaseView

_WATCHES_PER_LOOK = 4
# How long a process that ends waits for the API server, twice; the lease runs out by itself too.
_RELEASE_SECONDS = 2.0
_OTHER_TOOK_IT = "another replica holds the lease"


def _ignore() -> None:
    return


class LeaseKeeper:
    """
    Takes, renews and releases one Lease.

    `on_change` is called when a term begins, and when it ends other than by `release`. It must return soon.
    """

    def __init__(
        self,
        api: LeaseApi,
        *,
        identity: str,
        log: Logger,
        timing: LeaseTiming | None = None,
        clocks: ReadClocks = read_clocks,
        set_alarm: Callable[[float], object] = lambda _: None,
    ) -> None:
        """
        Do nothing until `start`.

        *set_alarm* has the system end this process after seconds, 0 for never.
        """
        self.on_change: Callable[[], None] = _ignore
        self._api = api
        self._identity = identity
        self._log = log
        self._timing = timing or LeaseTiming()
        self._clocks = clocks
        self._set_alarm = set_alarm
        self._term: Term | None = None
        self._record: LeaseRecord | None = None
        self._seen_version: str | None = None
        self._seen = Stopwatch(clocks)
        self._since: datetime | None = None
        self._fault = ""
        self._is_ending = False
        self._guarded: list[Stop] = []
        self._wake, self._ended = Event(), Event()
        self._stop_watching: Callable[[], None] = _ignore

    def start(self) -> None:
        """Begin to take and renew the lease, beside the caller."""
        self._stop_watching = call_every(self._timing.look_seconds / _WATCHES_PER_LOOK, self.watch)
        spawn(self._run)

    @property
    def is_held(self) -> bool:
        """Return whether this process may write now."""
        return self._term is not None and not self._term.is_over

    def view(self) -> LeaseView:
        """Return how the lease stands."""
        holder = "" if self._record is None else self._record.holder
        return LeaseView(self._api.name, self.is_held, holder, since=self._since, fault=self._fault)

    @contextmanager
    def guard(self, stop: Stop) -> Iterator[None]:
        """
        Let a run write within the present term alone.

        Raises:
            StoppedError: The lease is not held.
        """
        stop.fence = self.make_fence()
        self._guarded.append(stop)
        try:
            yield
        finally:
            self._guarded.remove(stop)

    def make_fence(self) -> Callable[[], None]:
        """
        Return what raises StoppedError once the present term is over.

        Raises:
            StoppedError: The lease is not held.
        """
        term = self._term
        if term is None:
            term = Term(Stopwatch(self._clocks), limit_seconds=self._timing.work_seconds)
            term.end("the lease is not held")
        term.check()
        return term.check

    def release(self) -> None:
        """
        Let others take the lease soon.

        Call it once nothing writes any longer. An API server that does not answer holds it up for seconds; then the lease runs out.
        """
        self._is_ending = True
        self._wake.set()
        self._stop_watching()
        # A renewal that is on its way must not come after.
        has_ended = self._ended.wait(_RELEASE_SECONDS)
        was_held = self.is_held
        if self._term is not None:
            self._term.end("the lease was released")
            self._term = None
            self._set_alarm(0)
        if has_ended:
            given_back = Event()
            spawn(lambda: self._close(given_back, was_held=was_held))
            given_back.wait(_RELEASE_SECONDS)

    def step(self) -> float:
        """Renew the lease or look at it; return when to again."""
        try:
            if self.is_held:
                self._renew()
            else:
                self._look()
        except ImgsyncError as error:
            self._note_fault(error)
            return self._timing.look_seconds
        self._fault = ""
        if self.is_held:
            return self._timing.renewal_seconds
        left = self._wait_seconds() - self._seen.steady_seconds
        return min(self._timing.look_seconds, max(0.0, left))

    def watch(self) -> None:
        """Notice when the term is over."""
        if self._term is not None and self._term.is_over:
            self._drop_term()

    def _run(self) -> None:
        while not self._is_ending:
            try:
                pause_seconds = self.step()
            except Exception as error:  # noqa: BLE001 - a defect must not end the renewals without a word
                self._log.error("lease.failed", error=f"{type(error).__name__}: {error}", hint="report it as a defect of imgsync")
                pause_seconds = self._timing.look_seconds
            self._wake.wait(pause_seconds)
        self._ended.set()

    def _renew(self) -> None:
        record = self._record
        assert record is not None  # noqa: S101 - a term begins with a record
        try:
            self._put(record)
        except LeaseConflictError:
            # It may only have got a label.
            found = self._read()
            if found is None or found.holder != self._identity:
                self._lose(_OTHER_TOOK_IT if found is not None and found.holder else "the lease was taken away")
                return
            self._put(found)

    def _look(self) -> None:
        """Look at the lease; take it when its time is over."""
        self.watch()
        found = self._read()
        version = "" if found is None else found.version
        if version != self._seen_version:
            self._seen_version, self._seen = version, Stopwatch(self._clocks)
            if found is not None and found.holder and found.holder != self._identity:
                self._log.debug("lease.seen", lease=self._api.name, holder=found.holder)
        is_own = found is not None and found.holder == self._identity
        # Nothing but this process has its identity: an answer was lost.
        if is_own or self._seen.steady_seconds >= self._wait_seconds():
            try:
                self._put(found)
            except LeaseConflictError:
                # Another one was faster.
                self._seen_version = None

    def _wait_seconds(self) -> float:
        """Return how long the lease must be unchanged before it is taken."""
        record = self._record
        if record is None:
            # It was deleted, or never made. Its holder may not know yet.
            return self._timing.duration_seconds
        if not record.holder:
            return record.duration_seconds
        return max(self._timing.duration_seconds, record.duration_seconds)

    def _read(self) -> LeaseRecord | None:
        self._record = self._api.read()
        return self._record

    def _put(self, record: LeaseRecord | None) -> None:
        """Take or renew the lease, made from *record*."""
        # From before the request: when the API server got it is unknown.
        began = Stopwatch(self._clocks)
        whole = write_held(
            record,
            name=self._api.name,
            namespace=self._api.namespace,
            holder=self._identity,
            duration_seconds=self._timing.duration_seconds,
            now=datetime.now(UTC),
        )
        self._record = self._api.create(whole) if record is None else self._api.replace(whole)
        if self._record.holder != self._identity:
            self._lose("the API server gave the lease to another")
            return
        if self._term is not None and not self._term.is_over:
            self._term.renew(began)
        else:
            self._begin_term(began)
        if self.is_held:
            self._set_alarm(max(0.001, self._timing.alarm_seconds - began.longest_seconds))

    def _begin_term(self, began: Stopwatch) -> None:
        self.watch()
        term = Term(began, limit_seconds=self._timing.work_seconds)
        if term.is_over or self._is_ending:
            return
        self._term, self._since = term, datetime.now(UTC)
        self._log.info("lease.acquired", lease=self._api.name, identity=self._identity)
        self.on_change()

    def _lose(self, reason: str) -> None:
        if self._term is not None:
            self._term.end(reason)
            self._drop_term()

    def _drop_term(self) -> None:
        """Forget a term that is over, and say so once."""
        term, self._term = self._term, None
        self._since = self._seen_version = None
        # Nothing is between its look and its write here: this runs in the same thread.
        self._set_alarm(0)
        if term is not None:
            self._log.warning("lease.lost", lease=self._api.name, reason=term.ended_because)
            for stop in self._guarded:
                stop.request(term.ended_because, grace_seconds=0.0)
            self.on_change()

    def _note_fault(self, error: ImgsyncError) -> None:
        fault = f"{error.message} ({error.advice})"
        if fault != self._fault:
            self._fault = fault
            self._log.warning("lease.unreachable", lease=self._api.name, error=error.message, hint=error.advice)

    def _close(self, done: Event, *, was_held: bool) -> None:
        try:
            if was_held:
                self._give_back()
            self._api.close()
        finally:
            done.set()

    def _give_back(self) -> None:
        record = self._record
        try:
            for _ in range(2):
                if record is None or record.holder != self._identity:
                    return
                try:
                    self._api.replace(write_released(record, now=datetime.now(UTC)))
                except LeaseConflictError:
                    record = self._api.read()
                else:
                    self._log.info("lease.released", lease=self._api.name)
                    return
        except ImgsyncError as error:
            self._note_fault(error)
