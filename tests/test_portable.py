"""What Linux allows and macOS or Windows does not: calls, encodings, starting processes, names of files."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from notebooks import BOOK, Chapter
from stad_lite.records.files import safe_name

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ("stad_lite", "book/_tools", "data_scripts", "benchmarks", "tests")
CONTAINERS = ("archive", "av", "tarfile", "zipfile")  # what these open is no text
MODE = re.compile(r"[rwax][bt+]*")

POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "os": {
        *("O_DIRECTORY", "O_NOFOLLOW", "WEXITSTATUS", "WIFEXITED", "chown", "fork", "forkpty", "getegid"),
        *("geteuid", "getgid", "getloadavg", "getpgid", "getuid", "initgroups", "killpg", "link", "mkfifo"),
        *("nice", "posix_spawn", "pread", "pwrite", "readlink", "sched_getaffinity", "sched_setaffinity"),
        *("sendfile", "setpgid", "setsid", "statvfs", "symlink", "sync", "sysconf", "uname", "wait", "wait4"),
    },
    "signal": {
        *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2"),
        *("alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait"),
    },
}
POSIX_METHODS = {"hardlink_to", "lchmod", "symlink_to"}
POSIX_KEYWORDS = {"preexec_fn", "start_new_session", "pass_fds"}
POSIX_TEXT = re.compile(r"ipc|forkserver|/(dev|proc|tmp|etc|usr|var|bin)(/.*)?")

GUARDED = {
    ("stad_lite/locks.py", "fcntl"): "msvcrt on Windows",
    ("tests/records/test_hostile_names.py", "/tmp/victim"): "a name that is refused everywhere",
    ("tests/data_scripts/test_kept_files.py", "symlink_to"): "where links can be made",
    ("tests/data_scripts/test_kept_files.py", "os.link"): "the same",
    ("stad_lite/training/profile.py", "/proc/self/clear_refs"): "without it the peak is not told",
    ("stad_lite/training/profile.py", "/proc/self/status"): "the same",
    ("stad_lite/training/profile.py", "/proc/cpuinfo"): "without it Python's own name of the processor",
    ("book/_tools/kernels.py", "ipc"): "tcp on Windows",
    ("stad_lite/data/workers.py", "/tmp"): "taken where it is there and the usual folder is too long",
    ("stad_lite/data/workers.py", "/var/tmp"): "the same",
    ("tests/cli/test_borders.py", "symlink_to"): "where links can be made",
    ("data_scripts/conversion.py", "symlink_to"): "where it is refused, the error says to copy",
    ("benchmarks/measure.py", "resource"): "imported where peaks are asked for",
    ("benchmarks/bench_video.py", "os.getloadavg"): "the committed figures are from Linux, as they say",
    ("tests/book/test_kernels.py", "ipc"): "what is expected",
    ("tests/training/test_profile.py", "/proc/self/clear_refs"): "the test is skipped without it",
    ("tests/training/tiny.py", "os.fork"): "its test is skipped without it",
    ("tests/training/tiny.py", "os.WEXITSTATUS"): "the same",
    ("tests/browser/test_lab.py", "start_new_session"): "not part of make test; make browser needs Debian",
    ("tests/browser/test_lab.py", "os.killpg"): "the same",
    ("tests/browser/test_lab.py", "signal.SIGKILL"): "the same",
    ("tests/data_scripts/test_scripts.py", "symlink_to"): "needs published data, which Windows' tests lack",
}
"""(file, name) -> why it may stand there."""


@lru_cache
def sources() -> dict[str, ast.Module]:
    """Return all our Python by name: the files, and the code of each chapter's cells."""
    files = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    texts = {path: path.read_text("utf-8") for path in [*files, REPOSITORY / "conftest.py"]}
    for path in BOOK.rglob("*.ipynb"):
        if not any(part.startswith(("_", ".")) for part in path.relative_to(BOOK).parts):
            cells = Chapter(path.stem, path).read().cells
            texts[path] = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    return {path.relative_to(REPOSITORY).as_posix(): ast.parse(text) for path, text in texts.items()}


def found(rule: Callable[[ast.Module], Iterator[tuple[int, str]]]) -> list[str]:
    """Return what a rule finds in all our Python: file, line and what."""
    return [f"{name}:{line}: {what}" for name, tree in sources().items() for line, what in rule(tree)]


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield all calls with the last name of what is called, and the name before it ("" without one)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node, node.func.id, ""
            elif isinstance(node.func, ast.Attribute):
                yield node, node.func.attr, ast.unparse(node.func.value)


def without_encoding(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the calls that read or write text in an encoding that the machine chooses."""
    for call, name, before in calls(tree):
        given = {keyword.arg for keyword in call.keywords}
        count = len(call.args)
        modes = [
            value.value
            for value in [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
            if isinstance(value, ast.Constant) and MODE.fullmatch(str(value.value))
        ]
        if "encoding" in given:
            continue
        if {"text", "universal_newlines"} & given and ast.unparse(call.func).split(".")[0] == "subprocess":
            yield call.lineno, "text without encoding"
        elif (name, count) in {("read_text", 0), ("write_text", 1)} and before:
            yield call.lineno, f"{name} without encoding"
        elif name == "open" and before not in CONTAINERS and (before in ("", "io") or not count or modes):
            binary = before in ("gzip", "bz2", "lzma") and not any("t" in mode for mode in modes)
            if not binary and not any("b" in mode for mode in modes):
                yield call.lineno, "open without encoding"
        elif name in ("fdopen", "TemporaryFile", "NamedTemporaryFile") and modes and "b" not in modes[0]:
            yield call.lineno, f"{name} without encoding"


def with_the_machines_line_ends(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the calls that write text with the machine's line ends."""
    for call, name, before in calls(tree):
        modes = [a.value for a in call.args if isinstance(a, ast.Constant) and MODE.fullmatch(str(a.value))]
        writes = name == "write_text" and isinstance(call.func, ast.Attribute) and len(call.args) < 3
        opens = name == "open" and before not in CONTAINERS and any(set("wax") & set(mode) for mode in modes)
        if (writes or (opens and "b" not in modes[0])) and "newline" not in {k.arg for k in call.keywords}:
            yield call.lineno, f"{name} without newline"


def test_text_has_an_encoding() -> None:
    assert found(without_encoding) == []


def test_what_we_write_has_the_same_line_ends_everywhere() -> None:
    named = [line for line in found(with_the_machines_line_ends) if not re.match(r"tests/|book/[^_]", line)]
    assert named == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("open(path)", 1),
        ("open(path, 'rb')", 0),
        ("open(path, 'w', encoding='utf-8')", 0),
        ("path.open()", 1),
        ("path.open('wb')", 0),
        ("gzip.open(path)", 0),
        ("gzip.open(path, 'rt')", 1),
        ("path.read_text()", 1),
        ("path.read_text('utf-8')", 0),
        ("read_text(path)", 0),
        ("path.write_text(text)", 1),
        ("path.write_text(text, 'utf-8')", 0),
        ("subprocess.run(words, text=True)", 1),
        ("subprocess.run(words, encoding='utf-8')", 0),
        ("os.fdopen(handle, 'w')", 1),
        ("source.open(size)", 0),
    ],
)
def test_the_rule_of_encodings(code: str, count: int) -> None:
    assert len(list(without_encoding(ast.parse(code)))) == count


def started_otherwise(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the calls that start processes in the way that the machine chooses."""
    for call, name, _ in calls(tree):
        given = {keyword.arg for keyword in call.keywords}
        if name == "DataLoader" and "num_workers" in given and not {"multiprocessing_context", None} & given:
            yield call.lineno, "workers without multiprocessing_context"
        elif name in ("get_context", "set_start_method") and ast.unparse(call.args[0]) != "'spawn'":
            yield call.lineno, f"{name} of another way than spawn"
        elif name in ("Process", "Pool", "ProcessPoolExecutor"):
            yield call.lineno, f"{name}: use joblib, or the loop's workers"


def test_processes_start_as_new_interpreters() -> None:
    assert found(started_otherwise) == []
    for code in ("DataLoader(data, num_workers=2)", "multiprocessing.Pool(2)", "get_context('fork')"):
        assert len(list(started_otherwise(ast.parse(code)))) == 1


def posix_only(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what only POSIX has: modules, calls, arguments, and texts that are places or ways there."""
    quiet = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name in POSIX_MODULES]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.module in POSIX_MODULES else []
            wanted = POSIX_NAMES.get(node.module or "", set())
            names += [f"{node.module}.{alias.name}" for alias in node.names if alias.name in wanted]
        elif isinstance(node, ast.Attribute):
            before = ast.unparse(node.value)
            if node.attr in POSIX_NAMES.get(before, set()):
                names = [f"{before}.{node.attr}"]
            elif node.attr in POSIX_METHODS:
                names = [node.attr]
        elif isinstance(node, ast.keyword) and node.arg in POSIX_KEYWORDS:
            names = [str(node.arg)]
        elif isinstance(node, ast.Constant) and id(node) not in quiet and isinstance(node.value, str):
            names = [node.value] if POSIX_TEXT.fullmatch(node.value) else []
        line = getattr(node, "lineno", 0)
        yield from ((line, name) for name in names)


def test_what_only_posix_has_stands_in_guarded_places() -> None:
    files = {name: tree for name, tree in sources().items() if name != "tests/test_portable.py"}
    assert {(name, what) for name, tree in files.items() for _, what in posix_only(tree)} == set(GUARDED)


@pytest.mark.parametrize(
    "code",
    [
        *("import fcntl", "from resource import getrusage", "from os import fork", "os.sched_getaffinity(0)"),
        *(
            "signal.SIGALRM",
            "link.symlink_to(file)",
            "Popen(words, start_new_session=True)",
            "open('/dev/null')",
        ),
        *("Path('/tmp')", "get_context('forkserver')", "transport = 'ipc'"),
    ],
)
def test_the_rule_of_posix(code: str) -> None:
    assert len(list(posix_only(ast.parse(code)))) == 1


@pytest.fixture(scope="module")
def tracked() -> list[tuple[str, list[str]]]:
    """All tracked files with what git says of their line ends."""
    command = ["git", "ls-files", "--eol", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8")
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are tracked")
    lines = [line.split("\t") for line in listed.stdout.split("\0") if line]
    return [(name, about.split()) for about, name in lines]


def test_tracked_names_are_taken_everywhere(tracked: list[tuple[str, list[str]]]) -> None:
    names = {name for name, _ in tracked}
    assert [name for name in names if safe_name(name, folders=True) != name or len(name) > 120] == []
    every = names | {parent.as_posix() for name in names for parent in Path(name).parents}
    assert len({name.casefold() for name in every}) == len(every)


def test_text_is_checked_out_with_the_same_line_ends_everywhere(tracked: list[tuple[str, list[str]]]) -> None:
    text = ["attr/text=auto", "eol=lf"]
    for name, (stored, _, *attributes) in tracked:
        assert (stored, attributes) in [("i/lf", text), ("i/none", text), ("i/-text", ["attr/-text"])], name
