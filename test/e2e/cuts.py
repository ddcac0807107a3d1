"""Random legal cuts of a model, as plans that `penstock compile --plan` keeps."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses
import json
import re

MAX_STAGES = 6
KERNEL = re.compile(r'^    %(\w+)(?::\d+)? = nn\.kernel "((?:[^"\\]|\\.)*)" ins\((.*?)\) ->', re.MULTILINE)
OPERAND = re.compile(r"%\w+ = %(\w+)")


def unescape(text):
    """A string as MLIR prints it: bytes that need it as two hexadecimal digits."""
    def byte(match):
        return bytes([int(match[1], 16)]) if len(match[1]) == 2 else match[1]
    return re.sub(rb"\\([0-9A-Fa-f]{2}|.)", byte, text.encode()).decode()


@dataclasses.dataclass(frozen=True)
class Kernels:
    """The kernels of a model in program order, and of each those whose results it reads."""
    names: tuple
    reads: tuple    # sets of positions

    @staticmethod
    def parse(dump):
        """From the text of a dump after fuse."""
        found = KERNEL.findall(dump)
        number = {value: position for position, (value, _, _) in enumerate(found)}
        names = tuple(unescape(name) for _, name, _ in found)
        reads = tuple(frozenset(number[value] for value in OPERAND.findall(operands) if value in number)
                      for _, _, operands in found)
        return Kernels(names, reads)

    def most_stages(self):
        return min(MAX_STAGES, len(self.names))

    def random_order(self, rng):
        """An order in which every kernel follows those that it reads; any such order may come."""
        missing = [len(reads) for reads in self.reads]
        readers = [[] for _ in self.names]
        for position, reads in enumerate(self.reads):
            for read in reads:
                readers[read].append(position)
        ready = [position for position, count in enumerate(missing) if count == 0]
        order = []
        while ready:
            position = ready.pop(rng.integers(len(ready)))
            order.append(position)
            for reader in readers[position]:
                missing[reader] -= 1
                if missing[reader] == 0:
                    ready.append(reader)
        assert len(order) == len(self.names), "the kernels of the dump read each other in a circle"
        return order

    def random_cut(self, rng, num_stages):
        """Stages as lists of names: a random order, cut at random places. Half of them keep the order of the program, whose
        stages have fewer channels between them and none that lead far."""
        order = list(range(len(self.names))) if rng.integers(2) else self.random_order(rng)
        bounds = sorted(rng.choice(len(order) - 1, num_stages - 1, replace=False) + 1) if num_stages > 1 else []
        edges = [0, *map(int, bounds), len(order)]
        return [[self.names[position] for position in sorted(order[a:b])] for a, b in zip(edges, edges[1:])]


def write_plan(stages, path):
    path.write_text(json.dumps({"stages": [{"kernels": stage} for stage in stages]}))
    return path
