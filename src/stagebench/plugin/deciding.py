"""Which groups of a session are undecided so far, and what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stagebench.case import Workload
from stagebench.datasets.manifest import Manifest
from stagebench.plugin.noise import Noise
from stagebench.results.measured import info_of
from stagebench.results.record import Record
from stagebench.results.result import Result
from stagebench.run.aa_copy import is_aa_copy
from stagebench.run.journal import Results
from stagebench.run.sample import Measurement
from stagebench.run.session import Need
from stagebench.statistics.group import Group
from stagebench.statistics.stopping import next_look
from stagebench.statistics.verdict import MOST_PROCESSES


@dataclass(frozen=True)
class Deciding:
    """Judges what is measured so far as the session's end will judge it."""

    noise: Noise
    workload: Workload
    manifest: Manifest
    smallest: float
    stages: Mapping[str, str]
    """That of each group."""

    def needs(self, measured: Mapping[str, Results]) -> dict[str, Need]:
        """Return what each group needs that is undecided, and may be decided yet."""
        record = Record((), "", self.smallest)
        for group, results in measured.items():
            stage = self.stages[group]
            for case, result in results.items():
                if isinstance(result, Measurement) and result.rounds and not is_aa_copy(case):
                    info = info_of(stage, case, result, self.workload, self.manifest)
                    record.results.append(Result(stage, case, result.seconds, info))
        self.noise.recall(record)
        found = {group.name: _need(group) for group in record.run().groups}
        return {group: need for group, need in found.items() if need}


def _need(group: Group) -> Need | None:
    judged = [group.verdicts[case] for case in group.others]
    undecided = [verdict for verdict in judged if verdict and verdict.word == "UNKNOWN"]
    processes = len(group.results[0].rounds)
    look = next_look(processes)
    if not undecided or look is None:
        return None
    return Need(look - processes, max(verdict.more or MOST_PROCESSES for verdict in undecided))
