"""One browser's view of a draft: what is known of it, and what is done when something is chosen."""

from __future__ import annotations

from asyncio import Lock, to_thread
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ravenml.common.hooks import SETTINGS
from ravenml.common.io import JsonObject
from ravenml.common.merge import deep_merge
from ravenml.dashboard.pages import Settings
from ravenml.dashboard.train.dataset_stats import StatsJob, StatsJobs
from ravenml.dashboard.train.draft import STEPS, Draft, change_draft, changed_at, read_draft, value_at
from ravenml.dashboard.train.helper import Helper
from ravenml.dashboard.train.split_preview import SplitPreview, preview_split, propose_split
from ravenml.data.registry import known_datasets
from ravenml.errors import RavenError
from ravenml.plugin.discovery import find_plugin

_OPENING = 10.0  # seconds that a page waits for its project


class Shared:
    """What all browsers of one dashboard share: counted projects, and plugins' helpers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stats_jobs = StatsJobs()
        self._helpers: dict[str, Helper] = {}

    def helper(self, plugin: str) -> Helper:
        """The plugin's helper."""
        return self._helpers.setdefault(plugin, Helper(plugin))

    def close(self) -> None:
        """End the helpers."""
        for helper in self._helpers.values():
            helper.close()

    def root_of(self, dataset: str) -> Path:
        """The folder of a dataset that is known by its name, or of a path below the roots.

        Raises:
            InputError: it is neither.
        """
        known = known_datasets()
        if dataset in known:
            return known[dataset].absolute()
        return self.settings.roots.resolve(dataset)


class Wizard:
    """What is known of a draft now.

    Attributes:
        draft: as it was when it was last read.
        job: the counting of its project; None where there is none.
        form: the plugin's settings, described; None where it publishes none.
        values: all the settings that hold, by dotted name.
        wrong: what is wrong with them, by dotted name.
        plugin_fault: why the plugin cannot be used.
        split_preview: how the images are divided; None while that is not known.
    """

    def __init__(self, draft_id: str, shared: Shared) -> None:
        self.shared = shared
        self.draft: Draft = read_draft(draft_id)
        self.job: StatsJob | None = None
        self.form: JsonObject | None = None
        self.values: JsonObject = {}
        self.wrong: dict[str, str] = {}
        self.plugin_fault: str | None = None
        self.split_preview: SplitPreview | None = None
        self._divided_for: object = None
        self._checked_for: object = None  # the settings and classes that the plugin was asked about last
        self._seen = changed_at(draft_id)
        self._turn = Lock()  # of what changes the draft, or what is known of it: one after the other
        self.on_change: Callable[[], None] = lambda: None

    async def load(self) -> None:
        """Bring everything up to date with the draft on disk."""
        async with self._turn:
            self._seen = changed_at(self.draft.id)
            self.draft = await to_thread(read_draft, self.draft.id)
            self._open()
            if self.job is not None and self.job.stats is not None:
                self.job = await to_thread(self.shared.stats_jobs.refresh, self.job.root)
            if self.job is not None:  # most projects open at once; a step need not be shut for that moment
                await to_thread(self.job.opened.wait, _OPENING)
            await self._ask_plugin()
            await self._divide()

    async def poll(self) -> bool:
        """Whether somebody else changed the draft; it is read again then."""
        if self._turn.locked() or changed_at(self.draft.id) == self._seen:
            return False
        async with self._turn:
            self._seen = changed_at(self.draft.id)
            if await to_thread(read_draft, self.draft.id) == self.draft:
                return False  # it was this browser itself
        await self.load()
        return True

    async def change(self, change: Callable[[Draft], None]) -> None:
        """Change the draft, and what follows from it.

        Raises:
            InputError: the draft was removed.
        """
        async with self._turn:
            before = self.draft
            self.draft = await to_thread(change_draft, self.draft.id, change)
            self._seen = changed_at(self.draft.id)
            if self.draft.dataset != before.dataset:
                self._open()
            await self._check_again()
            await self._divide()
            self.on_change()

    def value(self, name: str) -> Any:
        """What was chosen for a setting; the value that holds where nothing was."""
        chosen = value_at(self.draft.settings, name, self)
        return self.values.get(name) if chosen is self else chosen

    def effective(self) -> JsonObject:
        """The plugin's settings as the config has them: the preset's, and above them what was chosen."""
        return deep_merge(self.preset_settings(), self.draft.settings)

    def preset_settings(self) -> JsonObject:
        """The settings of the preset that was chosen, nested; nothing where none was."""
        presets: list[JsonObject] = self.form["presets"] if self.form else []
        return next((one["nested"] for one in presets if one["title"] == self.draft.preset), {})

    def find_problem(self, step: str) -> str | None:
        """What a step still needs."""
        return find_problem(
            step, self.draft, self.job, self.split_preview, self.form, self.wrong, self.plugin_fault
        )

    def lock_reason(self, step: str) -> str | None:
        """Why a step cannot be opened yet."""
        return first_problem(step, {name: self.find_problem(name) for name in STEPS})

    def field(self, role: str) -> JsonObject | None:
        """The plugin's field with a role."""
        return by_role(self.form, role)

    async def follow_project(self) -> None:
        """Divide the images and check the settings again where the wish, or the project, has changed."""
        async with self._turn:
            await self._check_again()
            await self._divide()

    async def _divide(self) -> None:
        job, options = self.job, self.draft.split
        if job is None or job.project is None or (options.way is None and job.stats is None):
            self.split_preview = None
            return
        if options.way is None and job.stats is not None:
            proposed = propose_split(job.project, job.stats, options.untagged)

            def propose(draft: Draft) -> None:
                if draft.split.way is None:
                    draft.split = proposed

            self.draft = await to_thread(change_draft, self.draft.id, propose)
            self._seen = changed_at(self.draft.id)
            options = self.draft.split
        key = (job, options.model_dump_json())
        if key != self._divided_for:
            self.split_preview = await to_thread(preview_split, job.project, options)
            self._divided_for = key

    async def ask(self, **question: object) -> JsonObject:
        """Ask the plugin's helper.

        Raises:
            RavenError: it cannot answer.
        """
        assert self.draft.plugin is not None
        return await self.shared.helper(self.draft.plugin).ask(**question)

    def _open(self) -> None:
        self.job = None
        if self.draft.dataset:
            try:
                self.job = self.shared.stats_jobs.get(self.shared.root_of(self.draft.dataset))
            except RavenError as error:
                self.job = StatsJob.failed(str(error))

    def _check_key(self) -> object:
        return deepcopy((self.draft.plugin, self.draft.settings, self.draft.preset, self._titles()))

    def _titles(self) -> list[str] | None:
        """The classes of the project; None while it is not open."""
        return self.job.project.titles if self.job is not None and self.job.project is not None else None

    async def _check_again(self) -> None:
        if self._check_key() != self._checked_for:
            await self._ask_plugin()

    async def _ask_plugin(self) -> None:
        self._checked_for = self._check_key()
        self.form, self.values, self.wrong, self.plugin_fault = None, {}, {}, None
        if not self.draft.plugin:
            return
        if find_plugin(self.draft.plugin) is None:
            self.plugin_fault = f"The plugin {self.draft.plugin!r} is not installed here."
            return
        if find_plugin(self.draft.plugin, SETTINGS) is None:
            return  # it is trained as its command line has it
        helper = self.shared.helper(self.draft.plugin)
        try:
            self.form = await helper.describe()
            answer = await helper.ask(ask="check", settings=self.effective(), classes=self._titles())
        except RavenError as error:
            self.plugin_fault = str(error)
            return
        self.wrong = answer["wrong"]
        defaults = {field["name"]: field["default"] for field in self.form["fields"]}
        self.values = defaults | (answer["settings"] or {})


TITLES = {
    "project": "Project",
    "split": "Split",
    "classes": "Classes",
    "augment": "Augmentations",
    "model": "Model",
    "settings": "Hyperparameters",
    "train": "Train",
}
# The step in which a field is asked for, by its role; all others belong to the hyperparameters.
STEP_OF_ROLE = {
    "classes": "classes",
    "augmentations": "augment",
    "architecture": "model",
    "weights": "model",
    "weights_mode": "model",
}
HANDLED = {"train_tag", "val_tag"}  # roles of fields that the split step sets


def by_role(form: JsonObject | None, role: str) -> JsonObject | None:
    """The form's field with a role."""
    fields = form["fields"] if form else []
    return next((field for field in fields if field["role"] == role), None)


def find_problem(
    step: str,
    draft: Draft,
    job: StatsJob | None,
    split_preview: SplitPreview | None,
    form: JsonObject | None,
    wrong: Mapping[str, str],
    plugin_fault: str | None = None,
) -> str | None:
    """A sentence, or None where the step is complete."""
    if step == "project":
        return _project(draft, job, plugin_fault)
    if step == "split":
        if split_preview is None:
            return "Splitting the images…"
        return split_preview.error
    if step == "classes":
        field = by_role(form, "classes")
        if field is not None and value_at(draft.settings, field["name"]) == []:
            return "Choose at least one class."
    return _wrong(step, form, wrong)


def first_problem(up_to: str, problems: Mapping[str, str | None]) -> str | None:
    """The sentence of the first incomplete step before ``up_to``."""
    for step in STEPS[: STEPS.index(up_to)]:
        if problems[step] is not None:
            return f"{TITLES[step]}: {problems[step]}"
    return None


def _project(draft: Draft, job: StatsJob | None, plugin_fault: str | None) -> str | None:
    if not draft.dataset:
        return "Choose a project."
    if job is None or (job.project is None and job.error is None):
        return "Opening the project…"
    if job.error is not None:
        return job.error
    if not draft.plugin:
        return "Choose a plugin."
    return plugin_fault


def _wrong(step: str, form: JsonObject | None, wrong: Mapping[str, str]) -> str | None:
    fields = {field["name"]: field for field in (form["fields"] if form else [])}
    for name, problem in wrong.items():
        field = fields.get(name)
        if step_of_field(field) == step:
            return f"{field['title']}: {problem}." if field else f"{problem}."
    return None


def step_of_field(field: JsonObject | None) -> str:
    """The step in which a field is asked for; one that is not known belongs to the hyperparameters."""
    return STEP_OF_ROLE.get((field["role"] if field else None) or "", "settings")


def step_of_refusal(sentence: str, form: JsonObject | None) -> str:
    """The step to go back to after a command was refused with ``sentence``, by the field that it names."""
    named = sentence.partition(":")[0]
    fields = {field["name"]: field for field in (form["fields"] if form else [])}
    if named in fields:
        return step_of_field(fields[named])
    if "split" in sentence or "fold" in named:
        return "split"
    return "project" if "dataset" in named or named.startswith("/") else "settings"
