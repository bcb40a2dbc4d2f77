"""Run `apply` as the coordinator of a fleet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.apply.report import Report
from imgsync.cli.apply_run import run_apply
from imgsync.cli.broker import find_broker
from imgsync.cli.options import ApplyOptions, is_on_command_line
from imgsync.cli.output import get_redaction
from imgsync.cli.report_files import Sent
from imgsync.cli.session import Session
from imgsync.config.layout_names import refuse_layouts
from imgsync.config.model import BROKER_PART, Config
from imgsync.documents.answer import decode_answer
from imgsync.documents.batch import encode_batch
from imgsync.fleet.coordinator import Codec, Coordinator, FleetOptions
from imgsync.fleet.link import BrokerLink
from imgsync.fleet.queues import QueueNames
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Plan
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.lock.load_locks import Locks

# Manifests that planning read go with the batches, so that no worker reads them again.
_CACHE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class FleetRunOptions:
    """The options of a coordinator, apart from those of `apply`."""

    broker: str
    queue: str
    window: int


def run_fleet(session: Session, config: Config, options: ApplyOptions, *, saved: Plan | None, fleet: FleetRunOptions, locks: Locks | None = None) -> int:
    """
    Apply *config* or a *saved* plan by workers; return the exit code.

    Raises:
        ConfigError: A variable of `broker` is not set.
        UsageError: The broker is not named as it must be, or another coordinator uses the queue.
    """
    config.registries.raise_if_unset(BROKER_PART)
    refuse_layouts(config, "--broker")
    login = find_broker(fleet.broker, config.registries.broker, is_argument=is_on_command_line("broker"))
    run = FleetRun(BrokerLink(login, QueueNames(fleet.queue)), FleetOptions(fleet.window, fail_fast=options.fail_fast))
    return run_apply(session, config, options, saved=saved, fleet=run, locks=locks)


class FleetRun:
    """The coordinator of one run, and what its workers did."""

    def __init__(self, link: BrokerLink, options: FleetOptions) -> None:
        """Prepare; connect to nothing yet."""
        self.cache_bytes = _CACHE_BYTES
        self._link = link
        self._options = options
        self._coordinator: Coordinator | None = None

    def make_coordinator(self, config: Config, context: PlanContext) -> Coordinator:
        """Return the coordinator of a run with *context*."""
        self._coordinator = Coordinator(self._link, config, context, self._options, codec=Codec(encode_batch, decode_answer), clean=get_redaction().clean)
        return self._coordinator

    def complete(self, report: Report) -> Report:
        """Return *report* with the shared blobs."""
        return report if self._coordinator is None else replace(report, shared=self._coordinator.shared)

    def sum_sent(self, session: Session) -> Sent:
        """Return what coordinator and workers sent together."""
        own, fleet = Sent.by_session(session), self._coordinator
        if fleet is None:
            return own
        sides = {side: dict(own.requests[side]) for side in own.requests}
        for side, registries in fleet.requests.items():
            for registry, methods in registries.items():
                sides[side][registry] = Counter(sides[side].get(registry, {})) + Counter(methods)
        return Sent(sides, Counter(own.throttled) + Counter(fleet.throttled), fleet.refused)
