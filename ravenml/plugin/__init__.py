"""``raven plugin``, and the programs behind ``install.sh`` and ``install_all.sh``.

``distributions.py`` reads what is installed, and passes over what is damaged. ``discovery.py`` finds plugins
and imports one: within limits (``containment.py``), and the first time in another process (``probe.py``).
``inventory.py`` lists those of a checkout and the installed ones. ``scaffold.py`` writes a new plugin from a
template, ``check.py`` looks at plugins in processes of their own. What a plugin may offer is the table in
``ravenml.common.hooks``.
``install.py`` and ``uninstall.py`` keep a ``journal.py`` of every change, so that a killed installation can
be undone and an uninstallation leaves no trace (``leftovers.py``). ``install_all.py`` runs plugins' own
scripts, and journals what they do. ``pip.py`` shows pip at work, and says why it failed. ``requirements.py``
compiles requirements, ``conda.py`` reads environment.yml, ``driver.py`` finds out which CUDA the machine's
driver supports.
"""
