"""A software task in SWE-bench's form (Jimenez et al. 2024, arXiv 2310.06770; the columns of its data set), and what we know beyond it.

A checker needs no code of ours: take all documents `repo@version:path`, as a tree of files whose `content_hash` (sha1 over `path NUL length
NUL text` by path, the length in characters, less paths that `synth.software.tree` refuses) is `environment_setup_commit`; apply
`bug_patch` (empty for real pull requests, whose tree has the bug), which gives `base_commit`. There FAIL_TO_PASS fail, PASS_TO_PASS pass;
apply `patch`, or `answer_patch`, and all pass. `test_patch` is empty where the tests are in the tree already. Tests are pytest's names, run
from the root.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Task(NamedTuple):
    """Lists as tuples; `as_json` is what `meta.task` of a row holds."""

    instance_id: str
    repo: str
    version: str
    base_commit: str  # 40 hex digits: of a commit, or of the content
    environment_setup_commit: str  # of the tree without the bug
    problem_statement: str
    patch: str  # gold
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    bug_patch: str = ""
    test_patch: str = ""
    hints_text: str = ""
    created_at: str = ""
    operator: str = ""  # of the mutation: `boundary`; of several `boundary+flag`; empty: a real change
    sites: tuple[tuple[str, str, int, str, str], ...] = ()  # (operator, path, line, old, new)
    runs: tuple[tuple[int, int], ...] = ()  # (seed of Python's hashes, order of tests) of each run of each side
    how: str = "trajectory"  # or `patch`: answered without tools
    answer_patch: str = ""  # what the assistant changed
    python: str = ""

    def as_json(self) -> dict[str, Any]:
        names = {"fail_to_pass": "FAIL_TO_PASS", "pass_to_pass": "PASS_TO_PASS"}
        told = {names.get(name, name): value for name, value in self._asdict().items()}
        return {name: _listed(value) for name, value in told.items()}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Task":
        """The inverse of `as_json`. KeyError or TypeError for anything else."""
        return cls(
            **{
                **{name: given[name] for name in cls._fields if isinstance(given.get(name), str)},
                "fail_to_pass": tuple(given["FAIL_TO_PASS"]),
                "pass_to_pass": tuple(given["PASS_TO_PASS"]),
                "sites": tuple((operator, path, line, old, new) for operator, path, line, old, new in given["sites"]),
                "runs": tuple((hash_seed, order) for hash_seed, order in given["runs"]),
            }
        )


def _listed(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_listed(part) for part in value]
    return value
