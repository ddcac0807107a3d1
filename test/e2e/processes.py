"""Which processes of a compiled folder run, and waiting for them to come and go."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import time

PATIENCE_S = 60    # for a machine that is busy with other tests; bench/faults.py measures how long it takes


def processes_of(folder):
    """{id: (executable's name, state)} of the processes whose executable lies in the folder."""
    found = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            executable = pathlib.Path(os.readlink(entry / "exe"))
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:    # it has ended meanwhile, or is a zombie
            continue
        if folder in executable.parents:
            found[int(entry.name)] = executable.name, state
    return found


def stages_of(folder):
    """{name: process} of the stages of a folder that run. Told by file, not by path: a process in a mount namespace of its own
    may see other paths than we do."""
    names = {(file.st_dev, file.st_ino): path.name for path in folder.glob("stage-*") for file in [path.stat()]}
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            file = os.stat(process / "exe")
        except OSError:
            continue
        if name := names.get((file.st_dev, file.st_ino)):
            found[name] = int(process.name)
    return found


def wait_for(condition, seconds=PATIENCE_S):
    """What condition() gives, as soon as it is true or when the time is over."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value or condition()
