"""Check predictions under the names they were given, and store them as a run of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_uq.api.errors import UsageError
from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins
from bench_uq.run.imported import Import, add, make_run, refuse_taken
from bench_uq.run.imported.alignment import Beside, Known
from bench_uq.run.imported.names import Named, Names
from bench_uq.run.imported.values import Outputs
from bench_uq.store import PlannedRun, read_plan
from bench_uq.store.folders import enclosed


@dataclass(frozen=True)
class Entry:
    """Names under which a model stands in the results of a suite, all of them checked."""

    folder: Path
    names: Names
    method: str
    dataset: Named
    seed: int
    data_dir: Path

    def known(self, data: Named) -> Known | None:
        """A dataset with its files, if bench-uq has it."""
        if data.value is None:
            return None
        return Known(data.value, self.data_dir)


def make_entry(
    folder: Path, names: Names, *, name: str, dataset: str, seed: int, data_dir: Path
) -> Entry:
    """Check where predictions would go and under which names, before they are made or read."""
    # Held-out examples depend on the seed, and results on them are chosen by.
    if folder.name.endswith("-validation"):
        raise UsageError(
            f"{folder.name}: predictions are scored on the test split; examples held out differ by "
            "seed"
        )
    # The name of a suite may be a link that leads out of the results.
    enclosed(folder)

    method, data = names.method(name), names.dataset(dataset)
    # A model under the name of a method would be averaged with its seeds.
    refuse_taken(method, read_plan(folder).runs)
    return Entry(folder, names, method, data, seed, data_dir)


def checked(
    entry: Entry, given: Sequence[tuple[Outputs, Named]]
) -> tuple[PlannedRun, list[Import]]:
    """The run of all predictions; they must fit one another, the suite's runs and the datasets."""
    imports, unseen = list[Import](), dict[str, Known]()
    for outputs, named in given:
        imports.append(Import(outputs, named.name, named.full, named.kind, named.level))
        known = entry.known(named)
        if known is not None:
            unseen[named.name] = known

    names = entry.dataset.name, entry.dataset.full
    run = make_run(entry.method, names, entry.seed, [one.evaluation() for one in imports])
    # Everything is checked before anything is stored: several predictions are one run.
    Beside(entry.folder, run, entry.known(entry.dataset), unseen).check(imports)
    return run, imports


def store(
    folder: Path,
    run: PlannedRun,
    imports: Sequence[Import],
    plugins: Plugins,
    *,
    device: str = "cpu",
) -> list[tuple[Import, Predictions, bool]]:
    """Store checked predictions, and say of each whether it was stored before.

    ``device`` is where they were made, as far as this machine made them.
    """
    # Here, because they load torch, which reading and checking do without.
    import torch

    from bench_uq.plan.about import about
    from bench_uq.store.environment import environment, git_state

    made = {"environment": environment(torch.device(device)), "git": git_state()}
    return add(folder, run, imports, made, about([run], plugins))
