"""`python -m curriculum` is `tokenloom`."""

from curriculum.cli import main

main()
