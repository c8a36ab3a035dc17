"""Builds `index.arrow`, the fingerprints of the SPDX licence texts, from the npm package `spdx-license-list` (CC0):

    npm pack spdx-license-list && tar xzf spdx-license-list-*.tgz
    python -m datapipe.readers.licenses.index package/spdx-full.json

The package follows the SPDX list; a test counts the index and names the version it was made from. Deprecated ids are
left out, and of ids that share one text (the GPL family's "only" and "or later", OFL with and without reserved names) all but the first.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from datapipe.readers.licenses import texts

MAX_RUNS = 256  # of a licence; above, one in 2, 4, 8 ... by hash

_DEPRECATED = re.compile(r"(?:A?GPL|LGPL|GFDL)-\d\.\d\+?|GPL-\d\.\d-with-.*|BSD-2-Clause-(?:FreeBSD|NetBSD)"
                         r"|eCos-2\.0|Nunit|StandardML-NJ|wxWindows|bzip2-1\.0\.5|Net-SNMP")  # fmt: skip
_SAME_TEXT = re.compile(r"(?:A?GPL|LGPL)-\d\.\d-or-later|GFDL-\d\.\d-(?:no-)?invariants-.*|GFDL-\d\.\d-or-later"
                        r"|OFL-\d\.\d-(?:no-)?RFN|MPL-2\.0-no-copyleft-exception")  # fmt: skip
_APPENDIX = re.compile(r"(?im)^\W*(?:appendix: how to apply|how to apply these terms|end of terms and conditions\W*$)")


def build(licenses: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """One row per licence: its id, the step of its sample and the hashes of its runs, sorted."""
    return pa.Table.from_pylist(
        list(_rows(licenses)), pa.schema([("spdx", pa.string()), ("step", pa.int32()), ("runs", pa.list_(pa.uint32()))])
    )


def _rows(licenses: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, object]]:
    for spdx in sorted(licenses):
        if _DEPRECATED.fullmatch(spdx) or _SAME_TEXT.fullmatch(spdx):
            continue
        text = licenses[spdx]["licenseText"]
        appendix = _APPENDIX.search(text, len(text) // 2)
        words = texts.words(text[: appendix.start()] if appendix else text)
        if len(words) < texts.LEAST_WORDS:
            continue
        runs, step = np.unique(texts.hashed_runs(words)), 1
        while len(runs) > MAX_RUNS:
            step *= 2
            runs = runs[runs % step == 0]
        yield {"spdx": spdx, "step": step, "runs": runs}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        table = build(json.load(file))
    with pa.ipc.new_file(str(texts.INDEX), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)


if __name__ == "__main__":
    main()
