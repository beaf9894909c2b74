"""``raven config``: the user's choices, the environment's, and where ravenML's files lie (``home.py``)."""
