"""The code of a run: the recorded commit with its recorded changes, in a folder of its own."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.git import GitFailed, run_git
from ravenml.common.io import JsonObject
from ravenml.common.permissions import make_folder
from ravenml.common.secrets import HIDDEN

_COPIED = 10 * 2**20  # bytes; larger files that git did not know are data, not code


@dataclass
class Checkouts:
    """What was brought back of a run's code.

    Attributes:
        roots: the checkouts, by the names under which they are recorded (``core``, ``working folder`` …).
        places: by that name, the folder in it that was used.
        restored, missing: sentences for the report.
    """

    roots: dict[str, Path] = field(default_factory=dict)
    places: dict[str, Path] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def moved(self, path: Path, code: JsonObject) -> Path | None:
        """Where a path of then lies now; None if it lay in no checkout that was brought back."""
        for name, root in self.roots.items():
            before = code[name].get("root")
            if before is not None and path.is_relative_to(before):
                return root / path.relative_to(before)
        return None


def check_out(run: Path, record: JsonObject, target: Path) -> Checkouts:
    """Bring back every checkout that the run in ``run`` records, below ``target``.

    Nothing fails here: what cannot be brought back is said in ``missing``.
    """
    code: JsonObject = (record.get("provenance") or {}).get("code") or {}
    done = Checkouts()
    if not code:
        done.missing.append("the code: no git checkout was recorded")
    for name, state in code.items():
        if "same_as" not in state:
            sharing = [other for other, one in code.items() if one.get("same_as") == name]
            what = f"the {name}'s code" + (f" (and the {' and the '.join(sharing)}'s)" if sharing else "")
            _restore(run, name, what, state, target / name.replace(" ", "_").replace("/", "_"), done)
    for name, state in code.items():
        root = done.roots.get(state.get("same_as", name))
        if root is not None:
            done.places[name] = root / state.get("place", ".")
    return done


def _restore(run: Path, name: str, what: str, state: JsonObject, target: Path, done: Checkouts) -> None:
    commit = state.get("commit")
    if not commit:
        done.missing.append(f"{what}: it had no commit")
        return
    why = _clone(state, commit, target)
    if why is not None:
        shutil.rmtree(target, ignore_errors=True)
        done.missing.append(f"{what} at {commit[:12]}: {why}")
        return
    done.roots[name] = target
    said = f"{what} at {commit[:12]}"
    diff = state.get("diff")
    if diff and not (run / diff).is_file():
        done.missing.append(f"{what}: its uncommitted changes ({diff})")
    elif diff:
        recorded = (run / diff).read_text("utf-8", "surrogateescape")
        whole, masked = restore_old_lines(recorded, target)
        patch = target / ".git" / "ravenml.diff"
        patch.write_text(whole, "utf-8", "surrogateescape")
        why = _git(target, "apply", "--whitespace=nowarn", str(patch))
        if why is None:
            said += ", with its uncommitted changes"
            if masked:
                done.missing.append(
                    f"{what}: what looked like a secret in its uncommitted changes; {HIDDEN} stands for it "
                    f"in {_list_names(masked)}"
                )
        else:
            done.missing.append(f"{what}: its uncommitted changes cannot be applied ({why})")
    done.restored.append(said)
    _untracked(what, state, target, done)
    if (target / ".gitmodules").exists():
        done.missing.append(f"{what}: its submodules")


_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def restore_old_lines(diff: str, checkout: Path) -> tuple[str, list[str]]:
    """A recorded diff as git can apply it.

    Args:
        diff: with secrets masked, in lines that were there before too.
        checkout: at the commit that the diff is to; there these lines are whole.

    Returns:
        The diff in which removed and unchanged lines are those of the checkout, and the places of new
        lines in which something stays masked.
    """
    result: list[str] = []
    masked: list[str] = []
    name, before = "", list[str]()
    old = new = old_left = new_left = 0
    for line in diff.split("\n"):
        if old_left <= 0 and new_left <= 0:
            if hunk := _HUNK.match(line):
                old, new = int(hunk[1]) - 1, int(hunk[3]) - 1
                old_left, new_left = int(hunk[2] or 1), int(hunk[4] or 1)
            elif line.startswith("--- "):
                name, before = "", []
                file = checkout / line.removeprefix("--- a/").rstrip("\t")
                if file.is_file() and file.resolve().is_relative_to(checkout.resolve()):
                    before = file.read_bytes().decode(errors="surrogateescape").split("\n")
            elif line.startswith("+++ b/"):
                name = line.removeprefix("+++ b/").rstrip("\t")
        else:
            kind = line[:1]
            if kind in ("-", " ", ""):
                line = kind + before[old] if HIDDEN in line and old < len(before) else line
                old, old_left = old + 1, old_left - 1
            if kind in ("+", " ", ""):
                new, new_left = new + 1, new_left - 1
            if kind == "+" and HIDDEN in line:
                masked.append(f"{name} line {new}")
        result.append(line)
    return "\n".join(result), masked


def _clone(state: JsonObject, commit: str, target: Path) -> str | None:
    """Clone from where the checkout was, or from where it came from; None, or why neither was possible."""
    reasons = []
    for source in (state.get("root"), state.get("remote")):
        if not source or HIDDEN in source:
            continue
        make_folder(target.parent)
        why = _git(None, "clone", "--quiet", "--no-checkout", source, str(target))
        why = why or _git(target, "checkout", "--quiet", "--detach", commit)
        if why is None:
            return None
        shutil.rmtree(target, ignore_errors=True)
        reasons.append(f"{source}: {why}")
    return "; ".join(reasons) or "it is not known where it came from"


def _untracked(what: str, state: JsonObject, target: Path, done: Checkouts) -> None:
    """Files that git did not know are recorded by name alone; they are taken as they are today."""
    names = list(state.get("untracked") or ())
    copied = []
    for name in names:
        source, place = Path(state["root"], name), target / name
        if source.is_file() and not source.is_symlink() and source.stat().st_size <= _COPIED:
            make_folder(place.parent)
            if not place.exists():
                shutil.copy2(source, place)
                copied.append(name)
    gone = [name for name in names if name not in copied]
    if copied:
        done.missing.append(f"{what}: as they were, files that git did not know; taken as they are today: "
                            f"{_list_names(copied)}")  # fmt: skip
    if gone:
        done.missing.append(f"{what}: files that git did not know: {_list_names(gone)}")


def _list_names(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _git(place: Path | None, *arguments: str) -> str | None:
    """None, or why git failed."""
    try:
        run_git(place, *arguments, patience=None)
    except GitFailed as error:
        return str(error)
    return None
