"""Public parts for plugins that bring their own training loop. No framework is needed, and none is
imported.

``loop.py``: the loop itself: a plugin says what a step is, and how the network is measured.
``hyperparameters.py``: the settings that such loops share, and the learning rate as a function of the
step. ``seeding.py``: seeds as a function of seed, fold, epoch and step. ``prefetch.py``: preparing in
threads ahead of use, and keeping in memory what fits (``memory.py``). ``checkpoints.py``: names of
checkpoints, which of them stay, and the order in which they are written. ``async_writer.py``: writing
beside the training. ``resume_guard.py``: what must be unchanged to resume. ``pretrained.py``: what
weights say about themselves. ``augmentation/``: operations as data, templates and files, ImgAug
Studio's among them; applying them is the plugin's job. ``previews.py`` and ``pictures.py``: predictions
over time. ``metric_history.py``: curves so far. ``preflight.py``: checks before the first step.
``ravenml.train.options`` has the arguments of an ``evaluate`` command, ``ravenml.data.samples`` images
with labels, ``ravenml.data.boxes`` images with boxes.

Nobody has to use them: the plugin that ``raven plugin new`` writes uses none.
"""
