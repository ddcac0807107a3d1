#!/usr/bin/env python3
"""What the processes of a run hold in memory, beside the contract in plan.json.

usage: memory.py [--stages 1,2,3,4] [--form static,bounded] [MODEL]...

Prints one line per model, form, number of stages and stage: pass, fail or missing, what is held and what was promised.
Exit status 1 if anything failed.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import dataclasses
import json
import pathlib
import re
import sys
import tempfile

import models
import runner
from processes import stages_of

SHARE, ROOM_BYTES = 0.05, 8 << 20    # how far memory may be from the contract
NUM_ROUNDS = 8                       # more than any channel has slots

# Models whose dimensions are free, and bounds for them; the last request is the one at the bound.
VISION = {f"{name}_dyn": ("--dim", "batch=1..5", "--microbatch", 5) for name in models.VISION}
TEXT = {f"{name}_dyn": ("--dim", "batch=1..5", "--dim", "sequence=1..128", "--microbatch", 5) for name in models.TEXT}
PADDLE = "p2o.DynamicDimension"
BOUNDS = {
    "ocr-classifier": ("--dim", "x.0=1..5", "--dim", "x.2=48", "--dim", "x.3=192", "--microbatch", 5),
    "ocr-recognizer": ("--dim", f"{PADDLE}.0=1", "--dim", "x.2=48", "--dim", f"{PADDLE}.1=320..480"),
    "ocr-detector": ("--dim", f"{PADDLE}.0=1", "--dim", f"{PADDLE}.1=320..480", "--dim", f"{PADDLE}.2=320..640"),
    "voice-op15": ("--dim", "batch=1..2", "--dim", "sequence=576"),
    "voice-half": ("--dim", "batch=1..2", "--dim", "sequence=576"),
    "voice-sequence": ("--dim", "sequence_length=1..50"),
    **VISION, **TEXT
}
FREE = {"voice-if", "voice-op18"}    # only with a bound input, which is another model of the list


@dataclasses.dataclass(frozen=True)
class Held:
    """Bytes of one process: private pages, shared memory, its mapped weights file; and, apart, other files (code)."""
    private: int
    shared: int
    weights: int
    files: int

    @property
    def total(self):
        return self.private + self.shared + self.weights


def held_by(pid):
    """What a process holds now, from /proc."""
    folder = pathlib.Path(f"/proc/{pid}")
    status = dict(re.findall(r"^(Rss\w+):\s+(\d+) kB", (folder / "status").read_text(), re.MULTILINE))
    weights, name = 0, ""
    for line in (folder / "smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            name = line.rpartition(" ")[2]
        elif line.startswith("Rss:") and name.endswith(".weights"):
            weights += int(line.split()[1]) << 10
    private, shared, files = (int(status[key]) << 10 for key in ("RssAnon", "RssShmem", "RssFile"))
    return Held(private, shared, weights, files - weights)


def forms_of(name):
    """[(form, flags)] in which all dimensions of a model are static or bounded."""
    if name in BOUNDS:
        return [("bounded", BOUNDS[name])]
    return [] if name in FREE else [("static", ())]


def requests_of(model):
    """All that a model is given, the largest last; of a fed-back model the first, which has all its inputs."""
    requests = [feeds for _, feeds in model.requests()]
    if model.feedback:
        return requests[:1]
    return sorted(requests, key=lambda feeds: sum(value.nbytes for value in feeds.values()))


def measure(folder, requests):
    """{stage: Held} after every request, and the last one until every slot has been used; nothing is in flight."""
    session = runner.session_of(folder)
    if session is None:
        raise models.NotHere("the Python module is not built")
    try:
        for feeds in [*requests, *[requests[-1]] * NUM_ROUNDS]:
            session.run(None, feeds)
        return {stage: held_by(pid) for stage, pid in stages_of(folder.path.resolve()).items()}
    finally:
        session.close()


def room(promised):
    return SHARE * promised + ROOM_BYTES


def verdict(held, promised):
    """None if memory is within the contract, else what is wrong. What further shapes may add need not be there."""
    most, least = promised["total"], promised["total"] - promised["shapes"]
    if held.total > most + room(most):
        return f"{held.total - most} bytes more than promised"
    if held.total < least - room(least):
        return f"{least - held.total} bytes less than promised"
    return None


def check(model, flags, num_stages, where):
    """[(stage, Held, contract, what is wrong)] of a model."""
    folder = runner.Folder(model, num_stages, where, flags)
    plan = json.loads((folder.path / "plan.json").read_text())
    held = measure(folder, requests_of(model))
    if len(held) != num_stages:
        raise runner.Failure(f"{len(held)} stages run; expected {num_stages}")
    rows = []
    for stage in plan["stages"]:
        promised = stage["memory"]
        if promised["unbounded"]:
            raise runner.Failure(f"{stage['name']} is unbounded in: {', '.join(promised['unbounded'])}")
        rows.append((stage["name"], held[stage["name"]], promised, verdict(held[stage["name"]], promised)))
    return rows


def describe(held, promised):
    parts = {"private": (held.private, sum(promised[key] for key in ("arena", "states", "runtime"))),
             "shared": (held.shared, promised["slots"] + promised["slots_read"]), "weights": (held.weights, promised["weights"])}
    text = ", ".join(f"{name} {mine >> 10} of {theirs >> 10}" for name, (mine, theirs) in parts.items())
    return f"{held.total >> 10} KiB of {promised['total'] >> 10} ({text}; further shapes {promised['shapes'] >> 10}; code {held.files >> 10})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="1,2,3,4")
    parser.add_argument("--form", default="static,bounded")
    parser.add_argument("models", nargs="*", metavar="MODEL")
    options = parser.parse_args()
    failed = False
    for name in options.models or models.MODELS:
        model = models.MODELS[name]
        for form, flags in forms_of(name):
            for num_stages in [int(text) for text in options.stages.split(",") if int(text) in model.stages]:
                what = f"{name} {form}, {num_stages} stages"
                if form not in options.form.split(","):
                    continue
                try:
                    with tempfile.TemporaryDirectory(prefix="penstock-memory-") as where:
                        rows = check(model, flags, num_stages, where)
                except (models.NotHere, runner.Failure) as error:
                    failed |= isinstance(error, runner.Failure)
                    print("fail" if isinstance(error, runner.Failure) else "missing", f"{what}: {error}", flush=True)
                    continue
                for stage, held, promised, wrong in rows:
                    failed |= wrong is not None
                    print("fail" if wrong else "pass", f"{what}, {stage}: {describe(held, promised)}",
                          f": {wrong}" if wrong else "", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
