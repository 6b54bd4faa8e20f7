"""Makes `.venv` and installs the locked dependencies; run by the Makefile with any python3.

Standard library only, and no syntax newer than Python 3.6: an old interpreter must get as far as
saying that it is too old. Everything it prints goes to standard error.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator

OLDEST = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "baigong-installed.json")
UNFINISHED = os.path.join(VENV, "baigong-installing")
RUNTIME_LOCK = "requirements.lock"
DEVELOPMENT_LOCK = "requirements-dev.lock"  # holds everything of the other one too


class BootstrapError(Exception):
    """One clear line for the person."""


def main(arguments: "list[str]") -> int:
    """Install what is missing. 0 when `.venv` is complete, 1 with one line when it cannot be."""
    try:
        if sys.version_info[:2] < OLDEST:
            return continue_with_newer_python(arguments)
        development = "--dev" in arguments
        if not is_installed(development):
            with only_one_at_a_time():
                if not is_installed(development):
                    install(development)
    except BootstrapError as error:
        say("baigong: " + str(error))
        return 1
    except KeyboardInterrupt:
        say("baigong: interrupted; the next run repairs the installation")
        return 1
    return 0


def continue_with_newer_python(arguments: "list[str]") -> int:
    """Run this file with a newer interpreter from PATH; BootstrapError when there is none."""
    for name in CANDIDATES:
        # Asked and not only looked up: version managers put names on PATH that do not work.
        if name_works(name):
            os.execvp(name, [name, os.path.abspath(__file__), *arguments])
    found = ".".join(str(number) for number in sys.version_info[:3])
    raise BootstrapError(
        f"Python 3.11 or newer is needed, this python3 is {found} ({sys.executable});"
        " install python3.11 or newer"
    )


def name_works(name: str) -> bool:
    """Whether `name` on PATH is a Python that is new enough."""
    if shutil.which(name) is None:
        return False
    check = f"import sys; sys.exit(sys.version_info[:2] < {OLDEST!r})"
    asked = subprocess.Popen(
        [name, "-c", check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return asked.wait() == 0


def is_installed(development: bool) -> bool:
    """Whether `.venv` holds exactly what the lock file asks for, for this Python."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return False
    wanted = expected_stamp(development)
    return os.path.exists(VENV_PYTHON) and all(
        stamp.get(name) == text for name, text in wanted.items()
    )


def expected_stamp(development: bool) -> "dict[str, str]":
    """What an installation is known by: this Python, this place, the locks' SHA-256."""
    stamp = {
        "python": sys.version,
        "place": VENV,
        RUNTIME_LOCK: sha256(RUNTIME_LOCK),
    }
    if development:
        stamp[DEVELOPMENT_LOCK] = sha256(DEVELOPMENT_LOCK)
    return stamp


def sha256(name: str) -> str:
    """SHA-256 of a file of the project."""
    try:
        with open(os.path.join(ROOT, name), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise BootstrapError(f"cannot read {name}: {error.strerror}") from error


def install(development: bool) -> None:
    """Make `.venv` if needed and install the lock into it."""
    started = time.time()
    lock = DEVELOPMENT_LOCK if development else RUNTIME_LOCK
    if not is_usable():
        make_venv()
    with open(UNFINISHED, "w", encoding="utf-8"):
        pass
    run_pip(lock)
    with open(STAMP, "w", encoding="utf-8") as file:
        json.dump(expected_stamp(development), file)
    os.unlink(UNFINISHED)
    say(f"installed {lock} in {time.time() - started:.0f} s")


def is_usable() -> bool:
    """Whether `.venv` is whole and of this Python.

    An installation that was cut off may have left a package half-written that pip takes for
    installed, so such a `.venv` is made anew.
    """
    if os.path.exists(UNFINISHED) or not os.path.exists(VENV_PYTHON):
        return False
    check = "import pip, sys; print(sys.version)"
    asked = subprocess.Popen(
        [VENV_PYTHON, "-c", check], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    output = asked.communicate()[0].decode("utf-8", "replace")
    return asked.returncode == 0 and output.strip() == sys.version.strip()


def make_venv() -> None:
    """Make an empty `.venv`, replacing whatever is there."""
    if not all(importlib.util.find_spec(name) for name in ("ensurepip", "venv")):
        version = "{}.{}".format(*sys.version_info[:2])
        raise BootstrapError(
            "this Python cannot make virtual environments;"
            f" on Debian or Ubuntu: apt-get install python{version}-venv"
        )
    say(f"making .venv with Python {sys.version.split()[0]}")
    made = subprocess.Popen(
        [sys.executable, "-m", "venv", "--clear", VENV],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = made.communicate()[0].decode("utf-8", "replace").strip()
    if made.returncode != 0:
        raise BootstrapError(
            "cannot make .venv: " + (output.splitlines() or ["no reason given"])[-1]
        )


def run_pip(lock: str) -> None:
    """Install `lock`, every file checked against its hash, and show how far it is."""
    command = [VENV_PYTHON, "-m", "pip", "install", "--require-hashes", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", lock]
    pip = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    progress = Progress(count_packages(lock))
    reader = threading.Thread(target=progress.read, args=(pip.stdout,), daemon=True)
    reader.start()
    try:
        while reader.is_alive():
            reader.join(0.25)
            progress.show()
        code = pip.wait()
    except BaseException:
        pip.terminate()
        pip.wait()
        raise
    finally:
        progress.end()
    if code != 0:
        if code > 0:
            os.unlink(UNFINISHED)  # it ended by itself, having undone what it began
        for line in progress.lines[-15:]:
            say("  " + line)
        raise BootstrapError(f"pip could not install {lock} (its last lines are above)")


def count_packages(lock: str) -> int:
    """How many packages `lock` names; a few may be for other systems."""
    with open(os.path.join(ROOT, lock), encoding="utf-8") as file:
        return sum(1 for line in file if "==" in line and not line.startswith((" ", "#")))


class Progress:
    """Counts what pip has collected and then what it has installed."""

    EVERY_SECONDS = 5.0  # between lines when nobody sees a line move

    def __init__(self, total: int) -> None:
        self.total = total
        self.lines: list[str] = []
        self.collected = 0
        self.before = len(installed_packages())
        self.installing = 0
        self.shown = ""
        self.shown_at = time.time()

    def read(self, output: "Iterable[bytes]") -> None:
        """Follow pip's output to its end."""
        for raw in output:
            line = raw.decode("utf-8", "replace").rstrip()
            self.lines.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                self.collected += 1
            elif line.startswith("Installing collected packages: "):
                self.installing = len(line.split(":", 1)[1].split(","))

    def show(self) -> None:
        """Print the counts, over the same line on a terminal."""
        if self.installing:
            done = max(0, len(installed_packages()) - self.before)
            text = f"installing: {min(done, self.installing)} of {self.installing} packages"
        else:
            done = min(self.collected, self.total)
            text = f"collecting: {done} of {self.total} packages"
        if text == self.shown:
            return
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K" + text)
            sys.stderr.flush()
        elif time.time() - self.shown_at < self.EVERY_SECONDS:
            return
        else:
            say(text)
        self.shown = text
        self.shown_at = time.time()

    def end(self) -> None:
        """Leave the moving line."""
        if sys.stderr.isatty() and self.shown:
            sys.stderr.write("\r\033[K")


def installed_packages() -> "list[str]":
    """What `.venv` holds."""
    version = "python{}.{}".format(*sys.version_info[:2])
    folder = os.path.join(VENV, "lib", version, "site-packages")
    try:
        return [name for name in os.listdir(folder) if name.endswith(".dist-info")]
    except OSError:
        return []


@contextlib.contextmanager
def only_one_at_a_time() -> "Iterator[None]":
    """Hold the project's folder, so that two commands do not install into each other."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another command is installing into .venv, waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def say(line: str) -> None:
    """One line on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
