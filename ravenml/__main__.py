"""``python -m ravenml`` is ``raven``."""

from ravenml.cli import main

main()
