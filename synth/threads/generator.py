"""Threads: what was asked, changed, reviewed and decided in a repository, one document per pull request, issue or commit.

Reads the records of the `github` reader and the commits of the `git` reader, in any mixture; documents of other kinds are ignored.
All records of a repository meet in one receiver, whatever host and case its name is written with. A pull request takes in the
issues that it closes or names, its reviews, comments, commits and merge; every issue and commit is told in one place only, and a
line says where else it is named. Cross-repository mentions join nothing.

What is left out is counted: a message or thread under its reason, what was said in a thread that is left out under
`threads.of_dropped`, what was said about an issue that is not there under `threads.no_thread`, older versions of an object under
`threads.replaced`.

A document names its repository (`repo` in `meta`), the commit it starts from and the one it ends in (`base_sha`, `merge_sha`) and
the paths it touches (`files`): a source file whose `code_place` has that name and path is what it talks about. `issues` and
`commits` tell what it took in.

Bounds: a message `max_text_chars`, a diff `max_diff_chars`, a discussion `max_messages` and `max_discussion_chars`; so a document
has at most (2 + max_issues) discussions, a review and a diff. A receiver holds all records of a repository: 0.5 to 1 KB each beside
their text. Not covered: sampling fewer pull requests of large repositories (StarCoder 2 keeps four fifths where there is one, a
tenth of 1,000, and 100 of more), and which comments a person edited or removed.
"""

import itertools
from collections.abc import Sequence

import pyarrow as pa

from datapipe.schema import DOCUMENT, DROP
from synth.generators import Generator
from synth.threads.documents import documents
from synth.threads.records import emit
from synth.threads.render import Limits
from synth.threads.repository import repositories
from synth.threads.verdicts import Rules

OUTPUT = DOCUMENT.append(pa.field(DROP, pa.string()))
ROWS_AT_ONCE = 1_000  # as Python objects
TITLE_WORDS = ("dependency", "dependencies", "depend", "release")


def reduce(
    rows: pa.Table,
    *,
    min_issue_chars: int = 200,
    min_title_chars: int = 10,
    min_description_chars: int = 20,
    title_words: Sequence[str] = TITLE_WORDS,
    min_people: int = 1,
    max_monologue_chars: int = 7_000,
    max_monologue_messages: int = 10,
    min_message_chars: int = 20,
    merged_only: bool = False,
    diff_needed: bool = False,
    max_issues: int = 8,
    max_commits: int = 30,
    max_messages: int = 100,
    max_discussion_chars: int = 40_000,
    max_diff_chars: int = 60_000,
) -> pa.Table:
    """Documents of one receiver, sorted by id.

    StarCoder 2's: issues of at least `min_issue_chars` (with all comments); pull requests with a title of `min_title_chars` and
    without `title_words`, and a description of `min_description_chars`; a single person's issue with at most
    `max_monologue_messages` comments of `max_monologue_chars` together (there ten events, of less than 7,000 characters). It also
    asks for a merge or an approval (`merged_only`) and for a diff (`diff_needed`). `min_people` 2 drops issues that nobody
    answered. `min_message_chars` is about commits without a pull request.
    """
    rules = Rules(
        min_issue_chars, min_title_chars, min_description_chars, title_words, min_people, max_monologue_chars,
        max_monologue_messages, min_message_chars, merged_only, diff_needed,
    )  # fmt: skip
    limits = Limits(max_messages, max_discussion_chars, max_diff_chars, max_issues, max_commits)
    found = itertools.chain.from_iterable(documents(repo, rules, limits) for repo in repositories(rows))
    tables = [OUTPUT.empty_table()]
    while some := list(itertools.islice(found, ROWS_AT_ONCE)):
        tables.append(pa.Table.from_pylist(some, OUTPUT))
    return pa.concat_tables(tables).sort_by([("id", "ascending"), (DROP, "ascending")])


THREADS = Generator(emit, reduce)
