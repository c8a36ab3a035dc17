"""A build in slow motion, as a process of its own: `python slow_build.py SECONDS` writes files with a pause before each.

Standard input holds a JSON list of [source, target]: what to copy where. A file appears whole or not at all.
"""

import json
import os
import sys
import time
from pathlib import Path

for source, target in json.load(sys.stdin):
    time.sleep(float(sys.argv[1]))
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.tmp")
    hidden.write_bytes(Path(source).read_bytes())
    os.replace(hidden, path)
