"""A race between contestants, and the one table that a file of them prints."""

import time
from collections import defaultdict

import pytest
from threadpoolctl import threadpool_limits


class Race:
    """Seconds and last result of each contestant.

    The seconds are the processor's: on one thread those of a clock, less the waiting
    while others have the machine.
    """

    def __init__(self):
        self.seconds = defaultdict(list)
        self.results = {}

    def time(self, name, function):
        start = time.process_time()
        result = function()
        self.seconds[name].append(time.process_time() - start)
        self.results[name] = result

    def run(self, benchmark, contestants, rounds, fewer=None):
        """Interleave all; the first contestant is the one pytest-benchmark reports.

        ``fewer`` has the number of rounds of those who take too long for all.
        """
        (first, function), *others = contestants.items()
        fewer = fewer or {}

        def round_of_others():
            for name, other in others:
                if len(self.seconds[name]) < fewer.get(name, rounds):
                    self.time(name, other)

        benchmark.pedantic(
            self.time, (first, function), setup=round_of_others, rounds=rounds
        )
        benchmark.extra_info.update({name: self.best(name) for name in contestants})

    def best(self, name):
        return min(self.seconds[name], default=None)


class Table:
    """All results in one, by section; ratios are to what the section's columns name.

    A column "/GEMM" has the time over that of the GEMM, a column "x peer" how many
    times faster than the peer.
    """

    def __init__(self):
        self.lines = []  # titles and notes are strings, other lines lists

    def section(self, title, *columns):
        self.columns = columns
        self.lines += ["", title, ["", "seconds", *columns, "MB", "wanted"]]

    def add(self, what, seconds, beside, *, memory=None, wanted=""):
        """One line; ``beside`` has the seconds of others by the column's name."""
        cells = []
        for column in self.columns:
            other = beside.get(column)
            if other is None:
                cells.append("")
            else:
                over = seconds / other if column[0] == "/" else other / seconds
                cells.append(f"{over:.2f}" if over < 100 else f"{over:.0f}")
        mb = "" if memory is None else f"{memory:.0f}"
        self.lines.append([f"  {what}", f"{seconds:.4f}", *cells, mb, wanted])

    def note(self, text):
        self.lines.append(f"  {text}")

    def __str__(self):
        most = max(len(line) for line in self.lines if isinstance(line, list))
        full = {
            i: line[:-2] + [""] * (most - len(line)) + line[-2:]
            for i, line in enumerate(self.lines)
            if isinstance(line, list)
        }
        widths = [max(map(len, column)) for column in zip(*full.values(), strict=True)]
        text = []
        for i, line in enumerate(self.lines):
            if i in full:
                first, *others, wanted = zip(full[i], widths, strict=True)
                cells = [f"{cell:>{width}}" for cell, width in others]
                line = "  ".join([f"{first[0]:<{first[1]}}", *cells, wanted[0]])
            text.append(line.rstrip())
        return "\n".join(text)


@pytest.fixture
def race():
    return Race()


@pytest.fixture(scope="module")
def table(request):
    """Printed below the module's LEGEND when all its tests have run."""
    table = Table()
    yield table
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n" + request.module.LEGEND)
        print(table)


@pytest.fixture(scope="module")
def one_thread():
    with threadpool_limits(limits=1):
        yield
