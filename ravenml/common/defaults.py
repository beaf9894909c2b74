"""Defaults that an option's help names and the code behind it uses; imports nothing, as help must be fast."""

DEFAULT_PORT = 8000  # of servers of models
DEFAULT_RETRIES = 3  # how often a lost worker or cluster is replaced
DEFAULT_KEPT_GIB = 2.0  # of the new files that a program leaves in its working folder on a worker
