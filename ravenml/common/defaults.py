"""Defaults that an option's help names and the code behind it uses; imports nothing, as help must be fast."""

DEFAULT_PORT = 8000  # of servers of models
DEFAULT_RETRIES = 3  # how often a lost worker or cluster is replaced
