"""``raven runs reproduce``: does a run once more, and says how well the two agree.

``checkout.py`` brings back the code, ``environment.py`` the packages; ``repeat.py`` runs the command, and
``agreement.py`` compares the metrics. For this, every run records under ``provenance`` the commit, origin
and diff of each checkout, the packages, the machine and the environment variables that may change a result;
under ``folder`` where the command was given; and under ``dataset.sha256`` the content of the data. That
digest is made from the files' digests, which the image cache remembers by size and time, so only the first
training on a dataset reads all of it.
"""
