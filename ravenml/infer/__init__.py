"""``raven infer``: predictors, inference modes (``modes/``), evaluation.

``job.py`` reads one image ahead in a thread, runs the network in the main thread and writes in a third.
``model_resolver.py`` finds the files that a user means by a model; a folder without ``config.json`` is
shown to each plugin's ``accepts`` (``predictor.py``), so the core need not know what other programs'
trainings look like. ``network_factory.py`` makes a network of it, of all folds' models for a k-fold run;
``raven serve`` does the same.  ``engines/`` runs exported networks without their framework.  ``output.py``
notes the request in ``infer.json``; an item's annotation is written last, and an item whose annotation is
newer than its sources is done.
"""
