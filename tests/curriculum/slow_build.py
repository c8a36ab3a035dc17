"""A real build that takes its time over every shard: `python slow_build.py MANIFEST OUT DATA SECONDS`."""

import sys
import time

from curriculum import build, manifest, sharding
from datapipe.engine import InProcess

pack_shard = sharding.pack_shard


def slowly(**arguments: object) -> dict[str, object]:
    time.sleep(float(sys.argv[4]))
    return pack_shard(**arguments)  # type: ignore[arg-type]


if __name__ == "__main__":
    sharding.pack_shard = slowly  # type: ignore[assignment]
    build.build(manifest.load_manifest(sys.argv[1]), sys.argv[2], sys.argv[3], InProcess(), lambda *call: None)
