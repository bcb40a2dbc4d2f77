"""Select the tags of one mirror, as its source has them now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Mirror
from imgsync.errors import ImgsyncError
from imgsync.plan.context import PlanContext
from imgsync.plan.find_gone import GoneFinder
from imgsync.plan.known_tags import KnownTags
from imgsync.plan.list_repositories import SourceRepository, list_source_repositories
from imgsync.plan.mirror_plan import MirrorPlan, SelectedTags
from imgsync.plan.model import PlanError
from imgsync.plan.plan_error import make_plan_error
from imgsync.plan.select_tags import select_repository_tags


class MirrorSelector:
    """Selects the tags of mirrors."""

    def __init__(self, context: PlanContext, known: KnownTags) -> None:
        """Compare what sources have with the *known* tags."""
        self._context = context
        self._known = known

    def make_finder(self, mirror: Mirror) -> GoneFinder:
        """Return what finds the tags of *mirror* that are gone."""
        return GoneFinder(mirror, self._known, self._context.state, now=self._context.now)

    def select(self, result: MirrorPlan, *, on_repositories: Callable[[Sequence[SourceRepository]], None]) -> None:
        """
        Add to *result* what its mirror selects.

        *on_repositories* is called with the repositories before their tags are listed.
        """
        mirror, context = result.mirror, self._context
        client = context.registries.make_source_client(mirror, check=context.stop.raise_if_requested)
        lister = context.registries.make_lister(client)
        found = list_source_repositories(mirror, lister, check=context.stop.raise_if_requested)
        repositories = found.repositories if result.part is None else result.part.narrow_repositories(found.repositories)
        context.listener.on_repositories(len(repositories))
        on_repositories(repositories)
        result.errors += found.errors
        result.notes += found.notes
        self._warn(result, found.warnings)
        finder = self.make_finder(mirror)
        for vanished, gone in finder.find_in_unlisted_repositories(found):
            result.judged.add(vanished)
            result.gone += gone if result.part is None else result.part.narrow_gone(gone)

        def select(repository: SourceRepository) -> SelectedTags | PlanError:
            try:
                selected = select_repository_tags(mirror, repository, client, lister, context=context, finder=finder)
                return selected if result.part is None else result.part.narrow(selected)
            except ImgsyncError as error:
                return make_plan_error(mirror, str(repository.repository), error)

        for outcome in map_unordered(select, repositories, limit=mirror.concurrency.queries):
            context.listener.on_listed(0 if isinstance(outcome, PlanError) else len(outcome.tags))
            if isinstance(outcome, PlanError):
                result.errors.append(outcome)
            else:
                self._add(result, outcome)
        # They were listed at once: without this, notes would name another repository in each run.
        result.selected.sort(key=lambda one: one.repository.repository)

    def _add(self, result: MirrorPlan, selected: SelectedTags) -> None:
        result.selected.append(selected)
        result.errors += selected.errors
        result.add_missing(selected.repository.repository, selected.missing)
        result.add_gone(selected)
        self._warn(result, selected.warnings)

    def _warn(self, result: MirrorPlan, warnings: Iterable[str]) -> None:
        for warning in warnings:
            result.incomplete = True
            self._context.log.warning("listing.incomplete", mirror=result.mirror.name, reason=warning)
