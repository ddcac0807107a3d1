"""Starting ranks as torchrun does, without torch: processes that are told their number and where they meet."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import contextlib
import os
import pathlib
import socket
import subprocess
import time

FOREIGN = ("OMPI_", "PMIX_", "PMI_", "SLURM_", "TORCHELASTIC_", "PENSTOCK_PORT")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rank_environment(rank, size, address, port, local_size=None):
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return own | {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": str(local_size or size),
                  "MASTER_ADDR": address, "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": f"test-{port}"}


@contextlib.contextmanager
def ranks(command, size, only=None, prefix=lambda rank: (), address="127.0.0.1", local_size=None):
    """The processes of the ranks `only` (all) of a world; whatever still runs at the end is killed."""
    port = free_port()
    started = {}
    try:
        for rank in range(size) if only is None else only:
            words = command[rank] if isinstance(command, dict) else command
            started[rank] = subprocess.Popen([*prefix(rank), *map(str, words)], text=True, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE,
                                             env=rank_environment(rank, size, address, port, local_size))
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def outcome(started, timeout=60):
    """{rank: (exit status, standard output, error lines)} once all have ended."""
    results, until = {}, time.monotonic() + timeout
    for rank, process in started.items():
        out, err = process.communicate(timeout=max(1, until - time.monotonic()))
        results[rank] = process.returncode, out, [line for line in err.splitlines() if line.startswith("error: ")]
    return results


def said(started):
    """{rank: what it wrote to standard error} of ranks that have ended; others may still write."""
    return {rank: process.stderr.read() for rank, process in started.items() if process.poll() is not None}


def slots_of(process):
    """Inodes of the memory in which a stage keeps the messages of channels."""
    lines = pathlib.Path(f"/proc/{process}/maps").read_text().splitlines()
    return {int(line.split()[4]) for line in lines if "memfd:penstock-channel" in line}


def transports(output):
    """{tensor: words} of what `--verbose` prints of channels: 'shm to stage 1, tcp to stage 2'."""
    found = {}
    for line in output.splitlines():
        if " messages, " in line and " copied; " in line:
            found[line.split("'")[1]] = line.split(" copied; ")[1]
    return found


def copied(output):
    """{tensor: bytes} that --verbose says were copied."""
    return {line.split("'")[1]: int(line.split(" bytes, ")[1].split()[0]) for line in output.splitlines()
            if " messages, " in line and " copied; " in line}
