"""``raven dashboard``: train, watch and compare in a browser.

``app.py`` makes the ASGI application behind the guard of all servers (``ravenml.serve.security``), and runs
it. NiceGUI, which is optional and slow to import, is loaded there, by the pages and by the widgets; what
reads and computes does without. A page is a module with ``NAV`` (its place in the navigation, or None) and
``register(settings)``, listed in ``pages.py``. ``layout.py`` is what surrounds every page; the look is
``static/style.css`` alone (Tailwind, which compiles styles in the browser, is off). What people and programs
wrote is given to ``ui.label``, to a property by name (``element.props["alt"] = …``) or to a chart that draws
its tooltips as text; never to a string of props, to Vue or to HTML.

A page never reads events itself. ``metric_cache.py`` tails each ``events.jsonl`` once, whoever looks at it,
in a thread, and keeps every metric as a column of numbers that grows at its end (``metric_column.py``);
``RESUMED`` takes points back. Points that were handed out never change, so threads share them without a lock.
A browser gets an envelope (``downsample.py``): of each narrow range the lowest and the highest point, about
2,000 in all, in full detail where somebody has zoomed in. Smoothing comes before thinning; both run in a
thread. Changes go to ECharts as a script with typed arrays, past NiceGUI's options, which the browser would
observe value by value.

``widgets/`` has what the wizard and the pages of runs are both built of: charts, progress bars, previews,
console, files and small controls. Each takes a run's folder, and reads in a thread.

``train/`` is the wizard. Its state is a ``Draft`` (``train/draft.py``), a file that every change rewrites
from what is on disk, so a reload, a second browser or a restarted dashboard continue where you were.
``train/wizard.py`` is what is known of a draft, and says what a step still needs; each ``train/step_*.py``
builds one step, and ``train/launch.py`` runs the very command that the draft stands for. ``runs/`` holds the
pages of runs: the table shows a query, which is the page's address, and a run's page builds each section from
a file of its own. ``run_files.py`` is the one way to a run's files: the run's whole id, a path, all links
resolved, pictures shown and everything else saved. ``models/servers.py`` starts servers that outlive the
dashboard; each holds a lock by which the next dashboard knows that it lives. ``queues/`` asks
``ravenml.remote``.

Whatever the dashboard starts, ``processes.py`` starts: ``raven`` with arguments, in a session of its own,
without the dashboard's token in its environment.
"""
