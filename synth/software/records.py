"""The rows of software tasks: a trajectory, or a candidate that a check dropped."""

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from synth.rows import Made, Parent
from synth.software import patch, validate
from synth.software.describe import Described
from synth.software.solve import Solved
from synth.software.suite import content_hash
from synth.software.task import Task
from synth.software.tree import Repository
from synth.software.validate import Checked
from synth.software.workspace import TOOLS

if TYPE_CHECKING:
    from synth.teacher import Crew


class Recorder(NamedTuple):
    """Makes the rows of one repository."""

    repository: Repository
    seed: int
    teacher: "Crew | None"

    def name(self, checked: Checked) -> str:
        """`instance_id`: the repository, its version, and 12 hex digits of the buggy tree."""
        commit = validate.base_commit(self.repository.files, checked.mutant)
        return f"{self.repository.name}-{self.repository.version}-{commit[:12]}"

    def trajectory(self, told: Described, solved: Solved) -> dict[str, Any]:
        before = {**self.repository.files, **told.bug}
        answer = patch.diff({path: before[path] for path in solved.changed}, solved.changed)
        made = Made("software", self.seed)
        if self.teacher is not None:
            asked = xxhash.xxh3_128_hexdigest(repr(TOOLS).encode())
            made = made._replace(author=self.teacher.model, teacher={"model": self.teacher.model, "prompt": asked})
        return made.row(
            told.name,
            solved.turns,
            kind="agent",
            parents=self._parents(told.checked),
            task=self._task(told, answer).as_json(),
            verdicts={**told.verdicts, **solved.verdicts},
        )

    def reject(
        self, name: str, text: str, verdicts: Mapping[str, Any], checked: Checked | None = None
    ) -> dict[str, Any]:
        operator = checked.mutant.operator if checked else ""
        paths = [checked.mutant.path] if checked else self.repository.test_files[:1]
        return Made("software", self.seed).reject(
            name,
            text,
            kind="agent",
            parents=self.repository.parents_of(paths),
            task={"repo": self.repository.name, "version": self.repository.version, "operator": operator},
            verdicts=verdicts,
        )

    def rejected_mutant(self, name: str, checked: Checked) -> dict[str, Any]:
        """One that has no issue: its change is shown."""
        verdicts = checked.verdicts if not checked.passed else {**checked.verdicts, "described": {"passed": False}}
        return self.reject(name, self._bug_patch(checked), verdicts, checked)

    def _bug_patch(self, checked: Checked) -> str:
        path = checked.mutant.path
        return patch.diff({path: self.repository.files[path]}, {path: checked.mutant.text})

    def _parents(self, checked: Checked) -> list[Parent]:
        return self.repository.parents_of([checked.mutant.path, *(test.partition("::")[0] for test in checked.tests)])

    def _task(self, told: Described, answer: str) -> Task:
        checked, files = told.checked, self.repository.files
        return Task(
            instance_id=told.name,
            repo=self.repository.name,
            version=self.repository.version,
            base_commit=validate.base_commit(files, checked.mutant),
            environment_setup_commit=content_hash(files),
            problem_statement=told.issue,
            patch=validate.gold_patch(files, checked.mutant),
            bug_patch=self._bug_patch(checked),
            fail_to_pass=checked.fail_to_pass,
            pass_to_pass=checked.pass_to_pass,
            operator=checked.mutant.operator,
            sites=tuple(
                (site.operator, checked.mutant.path, site.line, site.old, site.new) for site in checked.mutant.sites
            ),
            runs=tuple((run, run) for run in range(validate.RUNS)),
            answer_patch=answer,
            python=platform.python_version(),
        )
