"""The log streams, in real children: which text becomes which line, and what libraries that look at a stream find."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
from dioptra.sdk.utilities.logging import StdoutLogStream

from .conftest import Script


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("print('one'); print('two', 'parts')", ["one", "two parts"]),
        ("print('one\\ntwo\\n\\n  three  \\n')", ["one", "two", "  three"]),
        ("print(); print('   '); print('\\n\\n')", []),
        ("print('load', end=''); print('ing', end=' ', flush=True); print('done')", ["loading done"]),
        ("print('one\\ntwo', end='')", ["one", "two"]),
        ("sys.stderr.write('error\\n'); print('to stderr', file=sys.stderr)", ["error", "to stderr"]),
        ("sys.stdout.writelines(['a\\n', 'b', 'c\\n'])", ["a", "bc"]),
        ("print('100 %', '%s %d {}')", ["100 % %s %d {}"]),
        ("print('windows\\r\\nlines\\r')", ["windows", "lines"]),
        ("print('é 漢字 \\N{GRINNING FACE} \\udce9')", ["é 漢字 \N{GRINNING FACE} \udce9"]),
        ("sys.exit(print('last', end=''))", ["last"]),
        ("assert sys.stdout.write('abc\\n') == 4; sys.stdout.close(); print('open')", ["abc", "open"]),
    ],
)
def test_lines(script: Script, code: str, lines: list[str]) -> None:
    assert script(code).printed == lines


@pytest.mark.parametrize(
    "question", ["Delete? ", "Overwrite? [y/N]: ", "Go on [Y/n] ", "Sure (yes/no)? ", "Why?: "]
)
def test_a_question_comes_out_before_its_answer(script: Script, question: str) -> None:
    """Here nothing reads the answer: the process ends as if it were killed while it waits."""
    ended = script(f"print({question!r}, end='', flush=True); print('a?', end=' '); os._exit(0)")
    assert ended.printed == [question.rstrip()]


def test_input_and_click_ask_in_time(script: Script) -> None:
    ended = script(
        """
        import click
        read, write = os.pipe()
        sys.stdin = open(read)
        os.write(write, b"yes\\ny\\n")
        assert input("Delete? ") == "yes"
        print("deleted")
        assert click.confirm("Really")
        sys.stdout.write("last"); sys.stdout.flush()
        os._exit(0)
        """
    )
    assert ended.printed == ["Delete?", "deleted", "Really [y/N]:"]


def test_what_is_flushed_and_no_question_stays_one_line(script: Script) -> None:
    ended = script(
        """
        for text in ("Loading: ", "[1/3] ", "-> ", ".", ".", "why?", " so ", "done\\n"):
            sys.stdout.write(text); sys.stdout.flush()
        for i in range(3):
            sys.stderr.write(f"\\rbar {i}? "); sys.stderr.flush()
        sys.stderr.write("\\n")
        """
    )
    assert ended.printed == ["Loading: [1/3] -> ..why? so done", "bar 2?"]


def test_progress_bars(script: Script) -> None:
    ended = script(
        """
        def bar(text, end):
            for i in range(0, 101, 10):
                sys.stderr.write(f"\\r{text}: {i:3}%|" + "#" * i)
                sys.stderr.flush()
            sys.stderr.write(end)

        bar("kept", "\\n")
        bar("cleared", "\\r" + " " * 110 + "\\r")
        print("overwritten\\rvisible")
        print("cleared\\r       \\r")
        for i in range(3):
            print(i, end="\\r")
        """
    )
    assert ended.printed == ["kept: 100%|" + "#" * 100, "visible", "2"]


def test_nested_progress_bars(script: Script) -> None:
    """The inner bar goes down with a newline and back up with an escape sequence, as tqdm does it."""
    ended = script(
        """
        write = sys.stderr.write
        write("before\\n")
        for epoch in range(3):
            write(f"\\repochs {epoch}/3")
            for batch in range(5):
                write("\\n"); write(f"\\rbatches {batch}/5"); write("\\x1b[A")
            write("\\n"); write("\\r           "); write("\\x1b[A")
        write("\\repochs 3/3"); write("\\n")
        write("\\rnext 0/1"); write("\\rnext 1/1"); write("\\n")
        write("\\rlast 0/1"); write("\\n\\rbelow\\x1b[A"); write("\\rlast 1/1")
        """
    )
    assert ended.printed == ["before", "epochs 0/3", "epochs 3/3", "next 1/1", "last 0/1", "last 1/1"]


def test_tracebacks_and_warnings(script: Script) -> None:
    ended = script(
        """
        try:
            1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
        warnings.warn("the first")
        warnings.warn("of two\\nlines", FutureWarning)
        thread = threading.Thread(target=lambda: {}["key"])
        thread.start(); thread.join()
        """
    )
    lines = ended.printed
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[2] == "    1 / 0"
    assert "ZeroDivisionError: division by zero" in lines
    assert lines[-1] == "KeyError: 'key'"
    warned = [record for record in ended.records if record["logger"] == "py.warnings"]
    assert [record["level"] for record in warned] == ["warning", "warning"]
    assert warned[0]["event"].endswith(": UserWarning: the first")
    assert warned[1]["event"].endswith(": FutureWarning: of two\nlines")
    assert ended.err == ""


def test_an_uncaught_error_is_told_on_the_real_standard_error(script: Script) -> None:
    ended = script("print('before', end=''); raise RuntimeError('boom')", code=1)
    assert ended.printed == ["before"]
    assert ended.err.startswith("Traceback (most recent call last):")
    assert ended.err.endswith("RuntimeError: boom\n")


def test_memory_stays_flat(script: Script) -> None:
    ended = script(
        """
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        print("x" * 1000)
        before = resident()
        for i in range(20000):
            print("x" * 200)
        for i in range(50000):
            sys.stderr.write("\\r" + "#" * 200)
        for i in range(200000):
            print("." * 20, end="")
        grown = resident() - before
        print(f"\\ngrown {grown}")
        """
    )
    *lines, last = ended.printed[1:-1]
    assert lines[:20000] == ["x" * 200] * 20000
    assert all(len(line) < 66000 for line in lines)
    assert sum(map(len, lines[20000:])) == 4000000
    assert int(last.split()[1]) < 4_000_000
    assert ended.printed[-1] == "#" * 200


def test_threads_do_not_mix_lines(script: Script) -> None:
    ended = script(
        """
        def count(name):
            for i in range(200):
                print(name, end="")
                time.sleep(0)
                print(f" {i}", end="")
                sys.stdout.write("\\n")
            print(name, "ends", end="")

        threads = [threading.Thread(target=count, args=(name * 5,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("main")
        """
    )
    for name in "abcd":
        own = [line for line in ended.printed if line.startswith(name)]
        assert own == [*(f"{name * 5} {i}" for i in range(200)), f"{name * 5} ends"]
    assert len(ended.printed) == 4 * 201 + 1


def test_lines_of_threads_that_ended_come_out_early(script: Script) -> None:
    ended = script(
        """
        for i in range(3):
            thread = threading.Thread(target=print, args=(i,), kwargs={"end": ""})
            thread.start(); thread.join()
        print("main")
        """
    )
    assert ended.printed in (["0", "1", "2", "main"], ["0", "1", "main", "2"])


def test_click(script: Script) -> None:
    ended = script(
        """
        import click
        click.echo("text")
        click.echo("bytes é".encode())
        click.secho("styled", fg="red", err=True)
        with click.progressbar(range(3), label="bar", file=sys.stderr) as bar:
            list(bar)
        click.get_text_stream("stdout").write("stream\\n")
        """
    )
    assert ended.printed[:3] == ["text", "bytes é", "styled"]
    assert ended.printed[-1] == "stream"
    assert "\x1b" not in "".join(ended.printed)


def test_bytes(script: Script) -> None:
    ended = script(
        """
        data = "é漢\\n".encode()
        for i in range(len(data)):
            assert sys.stdout.buffer.write(data[i : i + 1]) == 1
        sys.stdout.buffer.write(bytearray(b"\\xff broken\\n"))
        sys.stdout.buffer.write(memoryview(b"unfinished \\xc3"))
        sys.stdout.buffer.flush()
        """
    )
    assert ended.printed == ["é漢", "\\xff broken", "unfinished \\xc3"]


def test_wrapping_the_byte_stream_again(script: Script) -> None:
    ended = script(
        """
        import codecs, io
        sys.stdout.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        wrapped = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", line_buffering=True)
        print("wrapped é", file=wrapped)
        wrapped.close()
        codecs.getwriter("utf-8")(sys.stdout.detach()).write("written é\\n")
        print("still here")
        """
    )
    assert ended.printed == ["wrapped é", "written é", "still here"]


def test_what_the_stream_says_about_itself(script: Script) -> None:
    script(
        """
        import io
        for stream, real in ((sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)):
            assert isinstance(stream, io.TextIOBase) and isinstance(stream.buffer, io.BufferedIOBase)
            assert stream.writable() and not stream.readable() and not stream.seekable()
            assert not stream.closed and not stream.isatty()
            assert stream.fileno() == stream.buffer.fileno() == real.fileno()
            assert (stream.name, stream.mode) == (real.name, real.mode)
            assert (stream.encoding, stream.errors) == ("utf-8", "backslashreplace")
            assert stream.newlines is None and stream.line_buffering is True
            assert stream.buffer.writable() and not stream.buffer.isatty()
            try:
                stream.write(b"bytes")
            except TypeError as error:
                assert str(error) == "write() argument must be str, not bytes"
            else:
                raise AssertionError
            try:
                stream.read()
            except io.UnsupportedOperation:
                pass
            else:
                raise AssertionError
        """
    )


def test_processes_and_crash_handlers_write_to_the_real_stream(script: Script) -> None:
    ended = script(
        """
        import faulthandler, subprocess
        faulthandler.enable()
        faulthandler.dump_traceback()
        subprocess.run([sys.executable, "-c", "print('{}')"], stdout=sys.stdout, stderr=sys.stderr, check=True)
        print("after")
        """
    )
    assert ended.out.splitlines()[0] == "{}"
    assert json.loads(ended.out.splitlines()[1])["event"] == "after"
    assert "most recent call first" in ended.err


def test_a_handler_that_fails_and_complains(script: Script) -> None:
    ended = script(
        """
        class Failing(logging.Handler):
            def emit(self, record):
                print("printed by a handler")
                try:
                    raise OSError("disk full")
                except OSError:
                    self.handleError(record)

        logging.getLogger().addHandler(Failing())
        print("text")
        logging.getLogger("own").info("record")
        """
    )
    assert "OSError: disk full" in ended.err
    assert '"event": "text"' in ended.out
    assert '"event": "record"' in ended.out
    assert ended.out.count("printed by a handler") < 50


def test_handlers_made_inside_the_block(script: Script) -> None:
    ended = script(
        """
        global handler
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("inner %(message)s"))
        logging.getLogger("library").addHandler(handler)
        logging.getLogger("library").propagate = False
        logging.getLogger("library").info("one")
        """,
        after="""
            logging.getLogger("library").info("two")
            print("plain")
        """.replace("            ", "    "),
    )
    assert json.loads(ended.out.splitlines()[0])["event"] == "inner one"
    assert ended.out.splitlines()[1] == "plain"
    assert ended.err == "inner two\n"


def test_nested_blocks(script: Script) -> None:
    ended = script(
        """
        global stream
        stream = sys.stdout
        with StdoutLogStream(True) as inner:
            assert sys.stdout is inner
            print("inner", end="")
        assert sys.stdout is stream
        with stream:
            print("same", end="")
        print("outer")
        """,
        after="    assert sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__\n    stream.write('{}\\n')",
    )
    *lines, last = ended.out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["inner", "same", "outer"]
    assert last == "{}"


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_forked_processes(script: Script) -> None:
    ended = script(
        """
        import multiprocessing
        print("of the parent ", end="")

        def work():
            print("child", "line")
            print("child unfinished", end="")

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start(); process.join()
        pid = os.fork()
        if not pid:
            print("forked")
            os._exit(0)
        os.waitpid(pid, 0)
        print("only")
        """
    )
    assert ended.printed == ["child line", "child unfinished", "forked", "of the parent only"]


@pytest.mark.parametrize(
    ("as_json", "line"), [(False, "text"), (True, '{"event": "text", "logger": "STDOUT", "level": "info"}')]
)
def test_without_any_handler(as_json: bool, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = io.StringIO()
    monkeypatch.setattr(sys, "stdout", real)
    monkeypatch.setattr(logging.getLogger("STDOUT"), "propagate", False)
    with StdoutLogStream(as_json):
        sys.stdout.write("text\n")
    sys.stdout.write("after\n")
    assert real.getvalue() == f"{line}\nafter\n"


def test_streams_do_without_structlog(script: Script) -> None:
    before = """
        sys.modules["structlog"] = None
        for function in (configure_structlog, lambda: attach_stdout_stream_handler(True)):
            try:
                function()
            except ImportError as error:
                assert "pip install structlog" in str(error), error
            else:
                raise AssertionError
        with plugin_dirs(), StdoutLogStream(False):
            print("text", end="")
        sys.exit()
        """
    assert script("pass", before=before).out == "text\n"
