"""Are imports respected? Repository documents against what the languages' own tools resolve themselves.

    python -m curriculum.bench_imports FOLDER...      every FOLDER is a source tree of one repository

Said of every repository: files, and those that are not in exactly one document (none may be). Of each tool (`tools.py`): the imports
between files that it resolves, how many of these are edges of ours, and how many edges are ours alone. Then where the imported file
stands: before, later in a cycle of such imports, later in one that edges of ours close (imports that the tool does not see, or
mistakes), or later without one (none may be). `whole` makes one document of the repository, so that every import
counts; `rows` cuts it to rows of 32,768 tokens, where only imports within one part do. A tool that is not installed is left out, and
that is said.
"""

import argparse
from pathlib import Path

from curriculum.bench_imports.report import report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        report(folder)
