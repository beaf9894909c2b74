"""``raven dashboard``: train, watch and compare in a browser.

NiceGUI is imported inside functions alone, so that the command line stays quick and the extra optional.
``app.py`` makes the ASGI application behind the guard of all servers (``ravenml.serve.security``). A page
is a module with ``NAV`` (its place in the navigation, or None) and ``register(settings)``, listed in
``pages.py``. ``layout.py`` is what surrounds every page; the look is ``static/style.css`` alone (Tailwind,
which compiles styles in the browser, is off). What people and programs wrote is given to ``ui.label``, to a
property by name (``element.props["alt"] = …``) or to a chart that draws its tooltips as text; never to a
string of props, to Vue or to HTML.

A page never reads events itself. ``series.py`` tails each ``events.jsonl`` once, whoever looks at it, in a
thread, and keeps every metric as a column of numbers that grows at its end (``metric_column.py``);
``RESUMED`` takes points back. Points that were handed out never change, so threads share them without a
lock. A browser gets an envelope (``downsample.py``): of each narrow range the lowest and the highest point,
about 2,000 in all, in full detail where somebody has zoomed in. Smoothing comes before thinning; both run
in a thread. ``chart.py`` is one chart, ``charts.py`` all of a run's, or of several runs over one another.
Changes go to ECharts as a script with typed arrays, past NiceGUI's options, which the browser would observe
value by value.

``train/`` is the wizard. Its state is a ``Draft`` (``train/draft.py``), a file that every change rewrites
from what is on disk, so a reload, a second browser or a restarted dashboard continue where you were.
``train/step_validation.py`` says what a step still needs, each ``train/step_*.py`` builds one step, and
``train/starting.py`` runs the very command that the draft stands for. ``runs/`` holds the pages of runs:
the table shows a query, which is the page's address, and a run's page builds each section from a file of
its own. ``runs/files.py`` is the one way to a run's files: the run's whole id, a path, all links resolved,
pictures shown and everything else saved. ``models/serving.py`` starts servers that outlive the dashboard;
each holds a lock by which the next dashboard knows that it lives. ``queues/`` asks ``ravenml.remote``.

Whatever the dashboard starts, ``processes.py`` starts: ``raven`` with arguments, in a session of its own,
without the dashboard's token in its environment.
"""
