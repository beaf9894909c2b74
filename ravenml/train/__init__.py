"""``raven train`` and :func:`ravenml.fit`: what a plugin is given, and what becomes of what it returns.

``options.py`` decorates a plugin's command and appends the core's options and those made from the plugin's
settings (``settings.py``). They are not passed to the function; a name that the plugin has taken is left to
it. When the command is called, what was given becomes ``TrainArguments``, a plain dataclass: from there on
nothing knows Click. ``request.py`` merges arguments, file, preset and defaults into a ``Request``:
everything worked out, nothing opened. ``session.py`` makes the ``TrainInput`` and begins the run. The dataset
is opened at once if it was named, so a wrong name is reported before a framework is imported; the run's
folder is made when ``train.run`` is first used, so a command that uses nothing leaves nothing behind.

``kfold.py`` writes the plan to ``info/folds.json`` and starts the same command once per fold, in a process
of its own, with ``RAVENML_PARENT_RUN`` and ``RAVENML_FOLD`` in its environment. A fold takes config and
plan from its parent's folder, and is asked to stop if its parent dies (on Linux). ``summary.py`` puts the
folds' scores together: each fold returns what is known of each validation image (``TrainOutput.scores``:
statistics that can be summed, such as confusion matrices, or records that cannot, such as boxes) and the
function that turns all of it into scores. The parent joins the folds' images, refuses an image that two
folds scored, and reduces once. A mean of the folds' means is never called the score of the whole.

``finish.py`` is a training's end: what it made is kept, described, finished, stored and reported.
``config_template.py`` writes all settings as a commented file (``--write-config``).

``form.py`` describes a plugin's settings as plain values (fields with title, kind, limits, choices, group
and role; presets). ``helper.py`` is a process that answers questions about them: pages can ask any plugin,
import none, and survive one that breaks.
"""
