"""The process that writes the math part: python -m datapipe.sample.formulas_worker FOLDER MAX_BYTES

One JSON line with the bytes so far for each page, and one at the end with the whole account.
"""

import json
import signal
import sys
from pathlib import Path

from datapipe.sample.budget import Account
from datapipe.sample.formulas import write_formulas


def tell(name: str, done_bytes: int, total_bytes: int) -> None:
    print(json.dumps({"bytes_so_far": done_bytes}), flush=True)


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent is gone: end without a word
    account = Account("math", int(sys.argv[2]), tell)
    write_formulas(Path(sys.argv[1]), account)
    print(json.dumps(account.to_json()))


if __name__ == "__main__":
    main()
