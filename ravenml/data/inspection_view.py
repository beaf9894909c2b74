"""An inspection for people: tables on a terminal, plain aligned lines where it is piped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ravenml.data.inspection import Inspection


@dataclass(frozen=True, slots=True)
class _Table:
    """A title, a header and rows of text."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    colors: tuple[str, ...] = ()  # "#RRGGBB" of each row


def tables(found: Inspection) -> Iterator[_Table]:
    """What is shown, in order; empty tables are left out."""
    yield _Table("Datasets", ("dataset", "images"), [(n, str(c)) for n, c in found.datasets.items()])
    rows, colors = [], []
    for known in found.project.classes:
        count = found.classes[known.title]
        share = f"{100 * count.pixel_share:.2f} %"
        rows.append((known.title, known.shape, str(count.objects), str(count.images), share))
        colors.append(known.color)
    rows.append(("(background)", "", "", "", f"{100 * found.background_share:.2f} %"))
    yield _Table("Classes", ("class", "shape", "objects", "images", "pixels"), rows, (*colors, "#808080"))
    yield _counted("Shapes that become masks", "shape", found.shapes)
    yield _counted("Shapes that cannot become masks and are left out", "shape", found.left_out)
    yield _counted("Image tags", "tag", found.image_tags)
    yield _counted("Object tags", "tag", found.object_tags)
    sizes = [(f"{w}×{h}", str(count)) for (w, h), count in found.sizes.most_common(8)]
    if len(found.sizes) > 8:
        rest = found.sizes.total() - sum(count for _, count in found.sizes.most_common(8))
        sizes.append((f"{len(found.sizes) - 8} more sizes", str(rest)))
    yield _Table("Image sizes", ("width×height", "images"), sizes)


def summary(found: Inspection) -> str:
    """The last line: whether anything is wrong."""
    if not found.problems:
        return "No problems found."
    return "1 problem found." if len(found.problems) == 1 else f"{len(found.problems)} problems found."


def as_text(found: Inspection) -> str:
    """For pipes and files: no colours, no boxes, no line cut."""
    lines = [f"{found.project.name}: {found.project.root}", f"{len(found.project.items)} images", ""]
    for table in tables(found):
        if not table.rows:
            continue
        widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
        lines.append(table.title)
        for row in (table.header, *table.rows):
            texts = 2 if table.colors else 1
            cells = [
                cell.ljust(width) if index < texts else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(("  " + "  ".join(cells)).rstrip())
        lines.append("")
    lines += [f"PROBLEM {error}" for error in found.problems]
    return "\n".join([*lines, summary(found)])


def print_rich(found: Inspection) -> None:
    """For a terminal."""
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(highlight=False)
    title = Text.assemble(("\n" + found.project.name, "bold"), (f"  {found.project.root}", "dim"))
    console.print(title, Text(f"{len(found.project.items)} images"), sep="\n", soft_wrap=True)
    for table in tables(found):
        if not table.rows:
            continue
        shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for index, header in enumerate(table.header):
            shown.add_column(header, justify="left" if index < (2 if table.colors else 1) else "right")
        for number, row in enumerate(table.rows):
            swatch = [("■ ", table.colors[number])] if table.colors else []
            shown.add_row(Text.assemble(*swatch, row[0]), *row[1:])
        console.print(Text("\n" + table.title, "bold"))
        console.print(Padding(shown, (0, 0, 0, 2), expand=False))
    console.print()
    for error in found.problems:
        where = f"{error.file}{f', {error.field}' if error.field else ''}"
        parts = ("✗ ", "bold red"), (where, "bold"), f": {error.problem}; ", (f"{error.fix}.", "green")
        console.print(Text.assemble(*parts), soft_wrap=True)  # so that a path can be copied whole
    console.print(
        Text(("✗ " if found.problems else "✓ ") + summary(found), "red" if found.problems else "green")
    )


def _counted(title: str, name: str, counter: Counter[str]) -> _Table:
    return _Table(title, (name, "count"), [(key, str(count)) for key, count in counter.most_common()])
