"""A process that trains and kills itself right behind a step. Started by test_run.py (see forked.py). argv: root, step."""

import os
import signal
import sys
from typing import Any

from trainer.run import train


def die(line: dict[str, Any]) -> None:
    if line["step"] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)


train(sys.argv[1], threads=1, on_step=die)
