"""Two hosts on one machine: network namespaces with a link between them, and launchers that start ranks in both."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import launchers

# As root, mpirun wants to be asked; with more ranks than cores too. For the last one see docs/runtime/Ranks.md.
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_orte_allowed_exit_without_sync="1")
ADDRESSES = {"a": "10.213.77.1", "b": "10.213.77.2"}
ECHO = """import socket
server = socket.create_server(("{address}", 5000))
print("ready", flush=True)
connection, _ = server.accept()
while data := connection.recv(1):
    connection.send(data)
"""
ASK = """import socket, time
connection, times = socket.create_connection(("{address}", 5000)), []
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(20):
    begin = time.monotonic()
    connection.send(b"x")
    connection.recv(1)
    times.append(time.monotonic() - begin)
print(min(times) * 1e3)
"""


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
    """mpirun runs on host a. Each has a name of its own, so that MPI uses the link between them. With `delay_ms`, what is
    sent over the link arrives later: by netem where the kernel has it, else through relay.py in a third namespace."""

    def __init__(self, folder, delay_ms=0):
        self.names = {host: f"penstock-{host}-{os.getpid()}" for host in ADDRESSES}
        self.wire, self.delay_ms, self.relay = f"penstock-wire-{os.getpid()}", delay_ms, None
        self.agent = folder / "agent"
        self.agent.write_text("#!/bin/sh\nshift\n"
                              f"exec ip netns exec {self.names['b']} unshare --uts sh -c \"hostname penstock-b; $*\"\n")
        self.agent.chmod(0o755)

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self):
        for name in (*self.names.values(), self.wire):
            self._ip("netns", "add", name)
        self._join(self.names["a"], "wire", self.names["b"], "wire")
        if self.delay_ms and not self._netem():
            self._ip("-n", self.names["a"], "link", "del", "wire")
            for host, name in self.names.items():
                self._join(name, "wire", self.wire, f"to-{host}")
                self._ip("-n", self.wire, "link", "set", f"to-{host}", "up")
            self.relay = subprocess.Popen(["ip", "netns", "exec", self.wire, sys.executable,
                                           pathlib.Path(__file__).parent / "relay.py", "to-a", "to-b", str(self.delay_ms)],
                                          text=True, stdout=subprocess.PIPE)
            assert self.relay.stdout.readline() == "ready\n"
        for host, name in self.names.items():
            self._ip("-n", name, "addr", "add", f"{ADDRESSES[host]}/24", "dev", "wire")
            self._ip("-n", name, "link", "set", "lo", "up")
            self._ip("-n", name, "link", "set", "wire", "up")

    def _join(self, first, first_end, second, second_end):
        self._ip("link", "add", first_end, "netns", first, "type", "veth", "peer", "name", second_end, "netns", second)

    def _netem(self):
        return all(subprocess.run(["ip", "netns", "exec", name, "tc", "qdisc", "replace", "dev", "wire", "root", "netem", "delay",
                                   f"{self.delay_ms}ms"], capture_output=True).returncode == 0 for name in self.names.values())

    def __exit__(self, *_):
        if self.relay:
            self.relay.kill()
            self.relay.wait()
        for name in (*self.names.values(), self.wire):
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

    def sent_bytes(self):
        """What host a has sent over the link so far."""
        said = subprocess.check_output(["ip", "-n", self.names["a"], "-s", "-j", "link", "show", "dev", "wire"])
        return json.loads(said)[0]["stats64"]["tx"]["bytes"]

    def cut(self):
        self._ip("-n", self.names["a"], "link", "set", "wire", "down")

    def prefix(self, host):
        """Words before a command that runs on a host."""
        return ["ip", "netns", "exec", self.names[host], "unshare", "--uts", "sh", "-c", f'hostname penstock-{host}; exec "$@"', "sh"]

    def round_trip_ms(self):
        """The shortest of some trips of a byte to host b and back."""
        server = subprocess.Popen([*self.prefix("b"), sys.executable, "-c", ECHO.format(address=ADDRESSES["b"])], text=True,
                                  stdout=subprocess.PIPE)
        try:
            assert server.stdout.readline() == "ready\n"
            return float(subprocess.check_output([*self.prefix("a"), sys.executable, "-c", ASK.format(address=ADDRESSES["b"])],
                                                 timeout=30))
        finally:
            server.kill()
            server.wait()

    def ranks(self, command, num_first, num_second, **options):
        """Starts ranks as torchrun does: the first ones on host a, the others on host b."""
        return launchers.ranks(command, num_first + num_second, prefix=lambda rank: self.prefix("a" if rank < num_first else "b"),
                               address=ADDRESSES["a"], **options)

    def mpirun(self, num_first, num_second, *command, **options):
        """Starts ranks: the first ones on host a, the others on host b."""
        hosts = f"{ADDRESSES['a']}:{num_first},{ADDRESSES['b']}:{num_second}"
        words = ["mpirun", "--host", hosts, "--map-by", "slot", "--mca", "plm_rsh_agent", self.agent, "--mca", "pml", "ob1",
                 "--mca", "btl", "tcp,vader,self", "-n", num_first + num_second, *command]
        return subprocess.Popen([*self.prefix("a"), *map(str, words)], env=ENVIRONMENT, text=True, **options)
