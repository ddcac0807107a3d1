"""Two hosts on one machine: network namespaces with a link between them, and mpirun that starts ranks in both."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import shutil
import signal
import subprocess

# As root, mpirun wants to be asked; with more ranks than cores too. For the last one see docs/runtime/Ranks.md.
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_orte_allowed_exit_without_sync="1")
ADDRESSES = {"a": "10.213.77.1", "b": "10.213.77.2"}


def reason_to_skip():
    """Why there can be no second host here; None when there can."""
    for program, package in (("mpirun", "openmpi-bin"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            return f"{program} is not installed (package {package})"
    probe = f"penstock-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], text=True, capture_output=True)
    if made.returncode != 0:
        return f"network namespaces are not allowed here: {made.stderr.strip()}"
    link = subprocess.run(["ip", "-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "two"], text=True,
                          capture_output=True)
    subprocess.run(["ip", "netns", "del", probe])
    return None if link.returncode == 0 else f"network links are not allowed here: {link.stderr.strip()}"


class TwoHosts:
    """mpirun runs on host a. Each has a name of its own, so that MPI uses the link between them."""

    def __init__(self, folder):
        self.names = {host: f"penstock-{host}-{os.getpid()}" for host in ADDRESSES}
        self.agent = folder / "agent"
        self.agent.write_text("#!/bin/sh\nshift\n"
                              f"exec ip netns exec {self.names['b']} unshare --uts sh -c \"hostname penstock-b; $*\"\n")
        self.agent.chmod(0o755)

    def __enter__(self):
        try:
            self._make()
        except Exception:
            self.__exit__()
            raise
        return self

    def _make(self):
        for name in self.names.values():
            self._ip("netns", "add", name)
        self._ip("link", "add", "wire", "netns", self.names["a"], "type", "veth", "peer", "name", "wire", "netns",
                 self.names["b"])
        for host, name in self.names.items():
            self._ip("-n", name, "addr", "add", f"{ADDRESSES[host]}/24", "dev", "wire")
            self._ip("-n", name, "link", "set", "lo", "up")
            self._ip("-n", name, "link", "set", "wire", "up")

    def __exit__(self, *_):
        for name in self.names.values():
            for process in self.processes(name):
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True)

    @staticmethod
    def processes(name):
        """What runs in a namespace; all of it is ours."""
        return [int(word) for word in subprocess.run(["ip", "netns", "pids", name], text=True, capture_output=True).stdout.split()]

    def cut(self):
        self._ip("-n", self.names["a"], "link", "set", "wire", "down")

    def delay(self, milliseconds):
        """Why not, if the kernel cannot."""
        for name in self.names.values():
            done = subprocess.run(["ip", "netns", "exec", name, "tc", "qdisc", "replace", "dev", "wire", "root", "netem", "delay",
                                   f"{milliseconds}ms"], text=True, capture_output=True)
            if done.returncode != 0:
                return f"tc netem: {done.stderr.strip().splitlines()[0]}"
        return None

    def mpirun(self, num_first, num_second, *command, **options):
        """Starts ranks: the first ones on host a, the others on host b."""
        hosts = f"{ADDRESSES['a']}:{num_first},{ADDRESSES['b']}:{num_second}"
        words = ["mpirun", "--host", hosts, "--map-by", "slot", "--mca", "plm_rsh_agent", self.agent, "--mca", "pml", "ob1",
                 "--mca", "btl", "tcp,vader,self", "-n", num_first + num_second, *command]
        return subprocess.Popen(["ip", "netns", "exec", self.names["a"], "unshare", "--uts", "sh", "-c",
                                 'hostname penstock-a; exec "$@"', "sh", *map(str, words)], env=ENVIRONMENT, text=True, **options)
