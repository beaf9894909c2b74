"""Sends a run's events to trackers: TensorBoard, MLflow, ClearML, or one of your own.

``base.py`` says what an exporter is; they are found through the entry-point group
``ravenml.plugins.track``, and ``registry.py`` knows which ones the configuration names. The run's owner
starts ``sidecar.py`` as a process of its own, a second after the run begins or, for a shorter run, at its
end, and never waits for it. There each exporter has a thread per run folder (the folds' too) and an
``ExportCursor`` (``cursor.py``): a cursor, a lock, and the rule that nothing is exported twice.

The cursor moves after the events have arrived. A cursor that says ``bringing`` belongs to a process that
was killed while exporting. In that case, when an export failed halfway (an exporter that knows that nothing
arrived raises ``Unreached``), and when a ``RESUMED`` event goes back behind what was exported, the exporter
starts over and gets everything that counts from the first byte. ``raven runs sync`` is the same
``ExportCursor`` in the foreground.
"""
