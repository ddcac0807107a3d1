"""Slurm on this machine alone: one node, its daemons started by a test, all that they write in one folder."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

import launchers
from processes import wait_for

PROGRAMS = {"srun": "slurm-client", "sinfo": "slurm-client", "slurmctld": "slurmctld", "slurmd": "slurmd"}
# No munge: all that speaks here is on this machine, and listens on it alone.
CONFIGURATION = """ClusterName=penstock
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
MpiDefault=pmix
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
TmpFS={folder}/tmp
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def reason_to_skip():
    """Why Slurm cannot run here; None when it can."""
    for name, package in PROGRAMS.items():
        if program(name) is None:
            return f"{name} is not installed (package {package})"
    return None if os.geteuid() == 0 else "slurmd wants to be root"


# One cluster at a time: two on one machine give their jobs the same numbers, and PMIx takes them for one.
MARKS = [pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or ""), pytest.mark.xdist_group("slurm")]


def marked(test):
    return MARKS[0](MARKS[1](test))


class Slurm:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = dict(os.environ, SLURM_CONF=str(self.folder / "slurm.conf"), SLURM_OVERLAP="1")
        self.daemons = []

    def __enter__(self):
        for name in ("state", "spool", "tmp"):
            (self.folder / name).mkdir()
        text = CONFIGURATION.format(host=socket.gethostname().split(".")[0], controller=launchers.free_port(),
                                    daemon=launchers.free_port(), user="root", folder=self.folder)
        (self.folder / "slurm.conf").write_text(text)
        # slurmd wants one of these plugins even if nothing uses it; this one asks for no mounted groups.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nIgnoreSystemd=yes\n")
        try:
            for name in ("slurmctld", "slurmd"):
                with open(self.folder / f"{name}.out", "w") as out:
                    self.daemons.append(subprocess.Popen([program(name), "-D"], env=self.environment, stdout=out, stderr=out))
            if not wait_for(self.idle, 60):
                pytest.skip(f"Slurm does not start here: {self.errors()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def idle(self):
        if any(daemon.poll() is not None for daemon in self.daemons):
            pytest.skip(f"Slurm does not stay up here: {self.errors()}")
        done = subprocess.run([program("sinfo"), "-h", "-o", "%T"], env=self.environment, text=True, capture_output=True)
        return done.stdout.strip() == "idle"

    def words(self):
        """What the daemons have to say."""
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in self.folder.glob("slurm*.*") if path.is_file())

    def errors(self):
        """The last errors of each daemon, in one line."""
        return "; ".join(line for path in sorted(self.folder.glob("*.out"))
                         for line in [line for line in path.read_text().splitlines() if "error: " in line][-3:])

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def srun(self, num_ranks, *command, **options):
        words = [program("srun"), "-n", num_ranks, *command]
        return subprocess.run([str(word) for word in words], env=self.environment, text=True, capture_output=True, timeout=120,
                              **options)
