"""``raven plugin``, and the programs behind ``install.sh`` and ``install_all.sh``.

``discovery.py`` finds plugins and ``loading.py`` imports one, within a time limit. ``scaffold.py`` writes a
new plugin from a template, ``check.py`` looks at one in a process of its own. ``install.py`` and
``uninstall.py`` keep a ``journal.py`` of every change, so that a killed installation can be undone and an
uninstallation leaves no trace (``leftovers.py``). ``requirements.py`` compiles requirements, ``conda.py``
reads environment.yml, ``driver.py`` finds out which CUDA the machine's driver supports.
"""
