"""`trainer.run` as the command line starts it, but reading batches of one step at a time, and looking often for what a build lacks."""

import sys

from curriculum import feed, follow
from trainer import run

feed.WINDOW_TOKENS = 1
follow.POLL_SECONDS = 0.02
sys.exit(run.main())
