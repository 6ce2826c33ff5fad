#!/usr/bin/env python3
"""Runs every command of the book and compares what it prints with what the page says.

  check-book.py BINARY [--update] [PAGE ...]

BINARY is the `funnelpulse` program. The `console` blocks of a page are run in order, in one temporary
folder per page with the files of `docs/data` and the examples. A comment `<!-- run: COMMAND -->` is run
too: it makes what a reader has of his own. Only output on the standard stream counts. A line `...` in a
page stands for any number of lines; seconds are not compared. A command without output in the page may
print anything. Pages that need the shared data (`<!-- data: FILE -->`, below $FUNNELPULSE_SHARED or
`../shared`) are skipped without it.
--update writes what was printed into the pages instead of comparing. Exit status 1 on any difference.
"""
import difflib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BOOK = pathlib.Path(__file__).resolve().parent / "src"
# Programs that the pages may call; a command with any other is not run and named.
ALLOWED = {"funnelpulse", "cut", "mkdir", "mv", "cp", "cat", "head", "ls", "printf", "rm"}
SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")
# Numbers are compared to nine digits: the last ones differ between processors.
LONG = re.compile(r"-?\d*\.\d{7,}(e-?\d+)?|-?\d+\.\d+e-?\d+")


def blocks(lines):
    """The first and last line (exclusive) inside each console block."""
    start = None
    for number, line in enumerate(lines):
        if start is None and line.strip() == "```console":
            start = number + 1
        elif start is not None and line.strip() == "```":
            yield start, number
            start = None


def hidden(lines):
    """(command text, line, line) of each command in a comment."""
    for number, line in enumerate(lines):
        if line.startswith("<!-- run: ") and line.endswith(" -->"):
            yield line[len("<!-- run: "):-len(" -->")], number, number


def commands(lines, first, last):
    """(command text, first line of its output, line after it) of a block."""
    at = first
    while at < last:
        if not lines[at].startswith("$ "):
            at += 1
            continue
        text = [lines[at][2:]]
        while text[-1].endswith("\\") and at + 1 < last:
            at += 1
            text.append(lines[at])
        begin = at = at + 1
        while at < last and not lines[at].startswith("$ "):
            at += 1
        end = at
        while end > begin and not lines[end - 1].strip():
            end -= 1
        yield "\n".join(text), begin, end


def same(said, printed):
    """Whether the printed lines are those of the page, which may leave some out by `...`."""
    plain = lambda line: LONG.sub(lambda m: f"{float(m.group()):.9g}", SECONDS.sub("# s", line.rstrip()))
    pattern = "".join(".*" if l.strip() == "..." else re.escape(plain(l)) + "\n" for l in said)
    return re.fullmatch(pattern, "".join(plain(l) + "\n" for l in printed), re.S) is not None


def shortened(said, printed):
    """The printed lines, with as many left out as the page leaves out."""
    if "..." not in [l.strip() for l in said]:
        return printed
    at = [l.strip() for l in said].index("...")
    tail = len(said) - at - 1
    return printed[:at] + ["..."] + (printed[-tail:] if tail else [])


def check(page, binary, update):
    lines = page.read_text().split("\n")
    wrong, ran, skipped, edits = [], 0, [], []
    folder = tempfile.mkdtemp(prefix="book-")
    for source in (BOOK.parent / "data").glob("*"):
        shutil.copy(source, folder)
    shutil.copytree(BOOK.parent.parent / "examples" / "any-table", f"{folder}/examples/any-table")
    shared = pathlib.Path(os.environ.get("FUNNELPULSE_SHARED", BOOK.parent.parent.parent / "shared"))
    for name in re.findall(r"<!-- data: (\S+) -->", "\n".join(lines)):
        found = list(shared.rglob(name)) if shared.is_dir() else []
        if not found:
            print(f"{page.name}: skipped, {name} is not in the shared data")
            return 0, [], []
        shutil.copy(found[0], folder)
    path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
    shown = [c for first, last in blocks(lines) for c in commands(lines, first, last)]
    for text, begin, end in sorted(list(hidden(lines)) + shown, key=lambda c: c[1]):
        if text.split()[0] not in ALLOWED:
            skipped.append(text.split("\n")[0])
            continue
        run = subprocess.run(["bash", "-c", text], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        ran += 1
        said, printed = lines[begin:end], run.stdout.rstrip("\n").split("\n") if run.stdout.strip() else []
        if said and not same(said, printed):
            edits.append((begin, end, shortened(said, printed)))
            diff = "\n".join(difflib.unified_diff(said, printed, "page", "printed", lineterm=""))
            wrong.append(f"{page.name}: $ {text}\n{diff}\n{run.stderr[-500:]}")
        elif run.returncode not in (0, 3, 4) and not said:
            wrong.append(f"{page.name}: $ {text}\nexit status {run.returncode}: {run.stderr[-500:]}")
    shutil.rmtree(folder, ignore_errors=True)
    if update and edits:
        for begin, end, new in reversed(edits):
            lines[begin:end] = new
        page.write_text("\n".join(lines))
    return ran, skipped, wrong


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    update = "--update" in sys.argv
    if not arguments:
        sys.exit(__doc__)
    binary = pathlib.Path(arguments[0]).resolve()
    pages = [BOOK / name if name.endswith(".md") else BOOK / f"{name}.md" for name in arguments[1:]] or sorted(BOOK.glob("*.md"))
    failed = 0
    for page in pages:
        ran, skipped, wrong = check(page, binary, update)
        if ran or skipped:
            print(f"{page.name}: {ran} commands, {len(wrong)} differ" + (f", not run: {skipped}" if skipped else ""))
        for text in wrong:
            print(text)
        failed += len(wrong)
    sys.exit(1 if failed and not update else 0)


main()
