"""The lines below the output of a child, as a terminal shows them: a small one, of our own, for the tests."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dioptra_cli.execution.process import Footer, SignalGuard, run_child
from dioptra_cli.execution.process import screen as module
from dioptra_cli.execution.process.screen import Screen, is_one_terminal

ROWS, COLUMNS = 12, 40
PIECE = re.compile(rb"\x1b\[([0-9;?]*)([A-Za-z])|\x1b([78DM])|\x1b\(B|\x1b\][^\x07]*\x07|(.)", re.DOTALL)


class Glass:
    """What is to be seen on a terminal, as far as the sequences go that are used here."""

    def __init__(self) -> None:
        self.above: list[str] = []
        self.rows = [[" "] * COLUMNS for _ in range(ROWS)]
        self.row = self.column = 0
        self.saved = (0, 0)

    def feed(self, data: bytes) -> None:
        for found in PIECE.finditer(data):
            parameters, final, single, char = found.groups()
            number = int(parameters) if parameters and parameters.isdigit() else 1
            if char == b"\n":
                self.down()
            elif char == b"\r":
                self.column = 0
            elif char is not None:
                self.rows[self.row][self.column] = char.decode("latin-1")
                self.column = min(self.column + 1, COLUMNS - 1)
            elif single == b"D":
                self.down()
            elif single == b"7":
                self.saved = (self.row, self.column)
            elif single == b"8":
                self.row, self.column = self.saved
            elif final == b"A":
                self.row = max(self.row - number, 0)
            elif final == b"B":
                self.row = min(self.row + number, ROWS - 1)
            elif final in (b"K", b"J"):
                self.rows[self.row][self.column :] = [" "] * (COLUMNS - self.column)
                if final == b"J":
                    self.rows[self.row + 1 :] = [[" "] * COLUMNS for _ in range(ROWS - self.row - 1)]

    def down(self) -> None:
        if self.row == ROWS - 1:
            self.above.append("".join(self.rows.pop(0)).rstrip())
            self.rows.append([" "] * COLUMNS)
        else:
            self.row += 1

    @property
    def lines(self) -> list[str]:
        """All lines that were ever to be seen, without the empty ones at the end."""
        found = [*self.above, *("".join(row).rstrip() for row in self.rows)]
        while found and not found[-1]:
            found.pop()
        return found


class Fixed:
    """A footer that shows what it is told to."""

    def __init__(self, *lines: bytes) -> None:
        self.content: Sequence[bytes] = lines
        self.asked: list[tuple[int, int]] = []

    def lines(self, width: int, height: int) -> Sequence[bytes]:
        self.asked.append((width, height))
        return self.content


class Setup:
    """A screen on a pseudo-terminal, and the glass on its other side."""

    def __init__(self, footer: Footer) -> None:
        self.ours, self.slave = os.openpty()
        self.resize(ROWS, COLUMNS)
        self.screen = Screen(self.slave, footer)
        self.glass = Glass()

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, data: bytes) -> None:
        """Do what the copier of a stream does."""
        self.screen.make_way()
        os.write(self.slave, data)
        self.screen.passed(data)

    def look(self) -> list[str]:
        """Let the screen draw, and return all that is to be seen."""
        self.screen.refresh()
        while select.select([self.ours], [], [], 0)[0]:
            self.glass.feed(os.read(self.ours, 65536))
        return self.glass.lines

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.slave)


Start = Callable[[Footer], Setup]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a screen that draws whenever it is asked to."""
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    monkeypatch.setattr(module, "_LEAST_PAUSE", 0.0)
    monkeypatch.setattr(module, "_MOVING", 0.0)
    made: list[Setup] = []

    def begin(footer: Footer) -> Setup:
        made.append(Setup(footer))
        return made[-1]

    yield begin
    for setup in made:
        setup.close()


def test_lines_are_below_the_output_and_leave_nothing_behind(start: Start) -> None:
    footer = Fixed()
    setup = start(footer)
    expected = []
    for number in range(30):
        footer.content = [b"flow", b"task"]
        setup.write(b"line %d\n" % number)
        expected.append(f"line {number}")
        assert setup.look() == [*expected, "", "flow", "task"]
        footer.content = [b"flow %d" % number, b"task"]
        assert setup.look() == [*expected, "", f"flow {number}", "task"]
    setup.screen.make_way()
    assert setup.look()[: len(expected)] == expected
    footer.content = []
    assert setup.look() == expected
    assert setup.glass.column == 0


def test_fewer_lines_than_before(start: Start) -> None:
    footer = Fixed(b"flow", b"one", b"two", b"three")
    setup = start(footer)
    assert setup.look() == ["", "flow", "one", "two", "three"]
    footer.content = [b"flow", b"one"]
    assert setup.look() == ["", "flow", "one"]


@pytest.mark.parametrize(
    "output",
    [
        b"name? ",
        b"\r 50% |#####     |",
        b"done\n(Pdb) ",
        b"line\n\x1b[1mbold",
        b"line\n\r",
        b"line\n\x1b[",
        b"\x1b[?1049h\n",
        b"\x1b[?25l\n",
        b"\x1b]0;a title that has not ended\n",
    ],
)
def test_nothing_is_shown_where_it_could_be_in_the_way(start: Start, output: bytes) -> None:
    setup = start(Fixed(b"flow"))
    assert "flow" in setup.look()
    setup.write(output)
    assert "flow" not in setup.look()
    assert "flow" not in setup.look()


@pytest.mark.parametrize(
    "pieces",
    [
        (b"name? ", b"Ada\n"),
        (b"\r 50%", b"\r100%", b"\n"),
        (b"\x1b[31mred\n\x1b[0m",),
        (b"\x1b[31mre", b"d\x1b", b"[0", b"m\n"),
        (b"\x1b[?1049h\x1b[2;5Hfull screen", b"\x1b[?10", b"49l", b"line\n"),
        (b"\x1b[?25l", b"hidden\n", b"\x1b[?25h"),
        (b"\x1b]8;;http://x\x07link\x1b]8;;\x07\n", b"\x1b(B\x1b[m"),
        (b"a\x1b[1A\x1b[2K\r", b"b\n"),
    ],
)
def test_it_comes_back(start: Start, pieces: tuple[bytes, ...]) -> None:
    setup = start(Fixed(b"flow"))
    setup.look()
    for piece in pieces:
        setup.write(piece)
    assert setup.look()[-1] == "flow"


def test_a_cursor_that_moves_hides_it_for_a_while(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOVING", 1000.0)
    setup = start(Fixed(b"flow"))
    setup.screen._moved = -1000.0
    assert "flow" in setup.look()
    setup.write(b"a\n\x1b[1A\x1b[2Kb\n")
    assert "flow" not in setup.look()


def test_what_the_user_types_stays(start: Start) -> None:
    footer = Fixed(b"flow", b"task")
    setup = start(footer)
    setup.write(b"and your age:\n")
    assert setup.look() == ["and your age:", "", "flow", "task"]
    os.write(setup.ours, b"42")  # echoed by the terminal, without us
    footer.content = [b"flow 2", b"task 2"]
    assert setup.look() == ["and your age:", "42", "flow 2", "task 2"]
    setup.write(b" it is\n")
    assert setup.look() == ["and your age:", "42 it is", "", "flow 2", "task 2"]
    os.write(setup.ours, b"yes\n")
    setup.look()
    setup.write(b"fine\n")
    assert setup.look() == ["and your age:", "42 it is", "yes", "fine", "", "flow 2", "task 2"]


def test_the_size_decides_how_much_is_shown(start: Start) -> None:
    footer = Fixed(*[b"line"] * 50)
    setup = start(footer)
    assert setup.look() == ["", *["line"] * 4]
    assert footer.asked[-1] == (COLUMNS - 1, 4)
    for rows, columns, shown in ((60, 200, 12), (9, 30, 3)):
        setup.resize(rows, columns)
        setup.screen.resize()
        setup.screen.refresh()
        assert footer.asked[-1] == (columns - 1, shown)
    asked = len(footer.asked)
    for rows, columns in ((8, 80), (30, 29), (0, 0)):
        setup.resize(rows, columns)
        setup.screen.resize()
        assert "line" not in setup.look()
    assert len(footer.asked) == asked


def test_a_program_that_reads_keys_has_the_terminal_for_itself(start: Start) -> None:
    setup = start(Fixed(b"flow"))
    assert "flow" in setup.look()
    tty.setraw(setup.slave)
    assert "flow" not in setup.look()


def test_a_terminal_that_takes_nothing_is_not_waited_for(start: Start) -> None:
    footer = Fixed(b"flow")
    setup = start(footer)
    setup.look()
    os.set_blocking(setup.slave, False)  # else this test would wait for ever, where it should fail
    termios.tcflow(setup.slave, termios.TCOOFF)
    for number in range(20000):
        footer.content = [b"flow %d" % number]
        setup.screen.refresh()
        setup.screen.make_way()
    termios.tcflow(setup.slave, termios.TCOON)
    assert setup.look()[-1] == "flow 19999"


def test_a_frame_is_no_larger_than_a_terminal_takes_at_once(start: Start) -> None:
    setup = start(Fixed(*[b"x" * 3000] * 3))
    setup.screen.refresh()
    assert len(os.read(setup.ours, 65536)) <= select.PIPE_BUF


def test_a_footer_that_fails_is_not_asked_again(start: Start) -> None:
    class Broken:
        asked = 0

        def lines(self, width: int, height: int) -> Sequence[bytes]:
            self.asked += 1
            raise RuntimeError(width, height)

    footer = Broken()
    setup = start(footer)
    setup.look()
    setup.write(b"line\n")
    assert setup.look() == ["line"]
    assert footer.asked == 1


def test_a_child_writes_where_the_lines_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    footer = Fixed(b"x" * 30, b"y" * 30)
    setup = Setup(footer)
    script = "for i in $(seq 30); do echo line $i >&$((i % 2 + 1)); sleep 0.03; done; printf end"
    try:
        with SignalGuard() as guard:
            outcome = run_child(
                ["bash", "-c", script],
                cwd=str(tmp_path),
                env=os.environ,
                guard=guard,
                stdout_to=setup.slave,
                stderr_to=setup.slave,
                timeout=60,
                footer=footer,
            )
        assert outcome.exit_code == 0
        shown = b""
        while select.select([setup.ours], [], [], 0)[0]:
            shown += os.read(setup.ours, 65536)
    finally:
        setup.close()
    setup.glass.feed(shown)
    assert shown.count(b"y" * 30) > 3  # it was shown in between, and nothing of it is left
    assert setup.glass.lines == [*(f"line {number}" for number in range(1, 31)), "end"]


def test_which_terminal() -> None:
    ours, slave = os.openpty()
    others, other = os.openpty()
    reader, writer = os.pipe()
    copy = os.dup(slave)
    try:
        assert is_one_terminal(slave, copy)
        assert not is_one_terminal(slave, other)
        assert not is_one_terminal(slave, writer)
        assert not is_one_terminal(reader, writer)
    finally:
        for fd in (ours, slave, others, other, reader, writer, copy):
            os.close(fd)
