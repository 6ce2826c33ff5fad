#!/usr/bin/env python3
"""Keeps the crate graph of docs/src/architecture.md equal to the manifests.

    python3 docs/crate-graph.py            rewrite the graph
    python3 docs/crate-graph.py --check    fail if the page differs or the crates depend on each other in a circle

Reads `cargo metadata`: the crates of crates/ and their dependencies on each other. Dependencies of tests and benches
are left out. A dashed arrow is a dependency behind a cargo feature. Arrows that follow from others are left out, so
that the picture stays readable; the table below it has all of them. Python's standard library is all it needs.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "src" / "architecture.md"
BEGIN = "<!-- crate graph: made by docs/crate-graph.py -->"
END = "<!-- end of crate graph -->"
PREFIX = "funnelpulse-"


def dependencies():
    """Each crate with its workspace dependencies: name -> {name: whether it is optional}."""
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    folder = ROOT / "crates"
    packages = [p for p in metadata["packages"] if folder in Path(p["manifest_path"]).parents]
    names = {p["name"] for p in packages}
    graph = {}
    for package in packages:
        arrows = {}
        for dependency in package["dependencies"]:
            if dependency["kind"] is None and dependency["name"] in names:
                # Optional only if it is optional in every section of the manifest.
                arrows[dependency["name"]] = dependency["optional"] and arrows.get(dependency["name"], True)
        graph[package["name"]] = arrows
    return graph


def cycle(graph):
    """The crates of a circle, the first of them again at its end; empty without one."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return []
        path.append(name)
        for target in sorted(graph[name]):
            found = visit(target)
            if found:
                return found
        path.pop()
        done.add(name)
        return []

    for name in sorted(graph):
        found = visit(name)
        if found:
            return found
    return []


def reachable(graph, name, optional):
    """Every crate that `name` depends on, directly or not; `optional` says whether features count."""
    seen = set()
    waiting = [name]
    while waiting:
        for target, is_optional in graph[waiting.pop()].items():
            if target not in seen and (optional or not is_optional):
                seen.add(target)
                waiting.append(target)
    return seen


def reduced(graph):
    """The arrows that don't follow from others; one that is always there never follows from a feature."""
    kept = {}
    for name, arrows in graph.items():
        kept[name] = {}
        for target, optional in arrows.items():
            others = [t for t, o in arrows.items() if t != target and (optional or not o)]
            if not any(target in reachable(graph, other, optional) for other in others):
                kept[name][target] = optional
    return kept


def short(name):
    return name.removeprefix(PREFIX)


def render(graph):
    lines = ["```mermaid", "graph TD"]
    for name, arrows in sorted(reduced(graph).items()):
        lines += [f"    {short(name)} {'-.->' if arrows[t] else '-->'} {short(t)}" for t in sorted(arrows)]
    lines += ["```", "", "| crate | depends on (behind a cargo feature in italics) |", "|---|---|"]
    for name, arrows in sorted(graph.items()):
        targets = [f"*{short(t)}*" if arrows[t] else short(t) for t in sorted(arrows)]
        lines.append(f"| `{name}` | {', '.join(targets) or 'no other crate of the workspace'} |")
    return "\n".join(lines)


def main():
    arguments = sys.argv[1:]
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    graph = dependencies()
    circle = cycle(graph)
    if circle:
        sys.exit("crates depend on each other in a circle: " + " -> ".join(circle))
    page = PAGE.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"{PAGE.relative_to(ROOT)}: expected the lines `{BEGIN}` and `{END}` once each")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    wanted = f"{before}{BEGIN}\n\n{render(graph)}\n\n{END}{after}"
    if arguments:
        if page != wanted:
            sys.exit(f"{PAGE.relative_to(ROOT)} differs from the manifests: run python3 docs/crate-graph.py")
        print(f"{len(graph)} crates, no circle, the page agrees")
    elif page != wanted:
        PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
