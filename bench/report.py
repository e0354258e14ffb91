"""What a run of the bench leaves behind: lines of JSON, a table, and a plot."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from matplotlib import use
from matplotlib.figure import Figure

from bench.budget import Measure, missed
from bench.measure import Result

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- written by `python -m bench --readme` -->", "<!-- end of what it wrote -->"
PACKAGES = ("pydantic", "aiokafka", "confluent-kafka", "paho-mqtt", "faststream", "SQLAlchemy")

Found = Sequence[tuple[Measure, Result]]


def write(found: Found) -> None:
    """Write all of it into bench/results/."""
    RESULTS.mkdir(exist_ok=True)
    lines = "".join(result.line() + "\n" for _, result in found)
    (RESULTS / "results.jsonl").write_text(lines)
    (RESULTS / "table.md").write_text(table(found))
    plot(found, RESULTS / "ratios.png")


def table(found: Found) -> str:
    """Write the results as a table, and under it on what they were measured."""
    rows = [
        "| measure | ratio | low–high | choreo | peer | CPU µs an event | budget |",
        "|---|---|---|---|---|---|---|",
    ]
    for measure, result in found:
        cpu = "–" if result.cpu is None else f"{result.cpu[0]:,} / {result.cpu[1]:,}"
        budget = "–" if measure.budget is None else f"≥ {measure.budget:g}"
        mark = " (missed)" if missed(measure, result) else ""
        rows.append(
            f"| `{measure.name}`: {measure.what} | **{result.ratio:g}** "
            f"| {result.low:g}–{result.high:g} | {result.choreo:,} | {result.peer:,} {result.unit} "
            f"| {cpu} | {budget}{mark} |"
        )
    return "\n".join(rows) + f"\n\n{machine(found)}\n"


def machine(found: Found) -> str:
    """Tell on what it ran, and how often."""
    rounds = [result.runs for _, result in found]
    often = f"{min(rounds)} to {max(rounds)}" if min(rounds) < max(rounds) else f"{rounds[0]}"
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"Medians of {often} interleaved rounds, {datetime.now(UTC):%Y-%m-%d}, "
        f"on {os.cpu_count()} cores ({platform.machine()}, {platform.system()}) "
        f"shared with the broker and whatever else ran (load average {os.getloadavg()[2]:.0f}); "
        f"Python {platform.python_version()}, {versions}."
    )


def into_readme(found: Found) -> None:
    """Put the table in the place of the one that README has."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{table(found)}{END}{after}")


def plot(found: Found, file: Path) -> None:
    """Draw the ratios with their spread, and each budget beside them."""
    use("Agg")
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    for place, (measure, result) in enumerate(reversed(found)):
        colour = "tab:red" if missed(measure, result) else "tab:blue"
        axes.plot([result.low, result.high], [place, place], color=colour, linewidth=3, alpha=0.5)
        axes.plot(result.ratio, place, "o", color=colour)
        if measure.budget is not None:
            axes.plot(measure.budget, place, "|", color="black", markersize=18)
    axes.set_yticks(range(len(found)), [measure.name for measure, _ in reversed(found)])
    axes.axvline(1.0, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("choreo ÷ peer in the same run; line: lowest to highest round; bar: budget")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(file, dpi=120)
