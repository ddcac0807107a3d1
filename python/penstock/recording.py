"""What `penstock run --record` wrote, as arrays; docs/recording.md has the format.

For files that this machine has just written: lengths are checked, checksums are not (replay checks both).
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import struct

import numpy as np

from penstock.errors import Error, InvalidArgument

MAGIC, VERSION = b"PNSTKREC", 1
MESSAGE, RESULT, END = 1, 2, 3
_FILE = struct.Struct("<8sIi64sQ")
_RECORD = struct.Struct("<IiiiiiqqqQQ")

DTYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bool": np.bool_,
          **{f"{kind}{bits}": np.dtype(f"{kind}{bits // 8}") for kind in "iu" for bits in (8, 16, 32, 64)}}


def dtype_of(name):
    """The NumPy type of a type of plan.json."""
    if name == "bf16":
        try:
            import ml_dtypes
        except ImportError:
            raise Error("tensors of type bf16 need the Python package ml_dtypes") from None
        return np.dtype(ml_dtypes.bfloat16)
    if name not in DTYPES:
        raise Error(f"a tensor has type '{name}', which NumPy does not know")
    return np.dtype(DTYPES[name])


_OPERATORS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "floordiv": lambda a, b: a // b,
              "ceildiv": lambda a, b: -(-a // b), "mod": lambda a, b: a % b, "min": min, "max": max}


def evaluate(extent, values):
    """An extent of plan.json as a number; values: {symbol: number}."""
    if isinstance(extent, list):
        operator, left, right = extent
        return _OPERATORS[operator](evaluate(left, values), evaluate(right, values))
    return values[extent] if isinstance(extent, str) else extent


class Record:
    """One message of a channel (place), or one result (index) of a kernel call (step) of a stage (place)."""

    __slots__ = ("kind", "place", "step", "index", "request", "microbatch", "dims", "symbols", "offset", "num_bytes")

    @property
    def when(self):
        return self.request, self.microbatch


class Recording:
    """The records of a file in the order in which they were written; payloads are read when they are asked for."""

    def __init__(self, path):
        self.path, self.records, self.is_complete = path, [], False
        self._bytes = np.memmap(path, np.uint8, "r")
        self._read()

    def _read(self):
        total = len(self._bytes)
        head = self._bytes[:_FILE.size].tobytes()
        if len(head) < _FILE.size or head[:8] != MAGIC:
            raise InvalidArgument(f"'{self.path}' is no recording")
        _, version, self.num_channels, fingerprint, _ = _FILE.unpack(head)
        if version != VERSION:
            raise InvalidArgument(f"recording '{self.path}' has version {version}, expected {VERSION}")
        self.fingerprint = fingerprint.decode("ascii", "replace")
        at, kind = _FILE.size, MESSAGE
        while kind != END:
            if at + _RECORD.size > total:
                raise InvalidArgument(f"recording '{self.path}' is truncated: it has {total} bytes and no end")
            record = Record()
            (kind, record.place, record.step, record.index, num_dims, num_symbols, record.request, record.microbatch,
             record.num_bytes, _, _) = _RECORD.unpack(self._bytes[at:at + _RECORD.size])
            numbers = at + _RECORD.size
            record.kind, record.offset = kind, numbers + 8 * (num_dims + num_symbols)
            at = record.offset + (record.num_bytes + 7) // 8 * 8
            if min(num_dims, num_symbols, record.num_bytes) < 0 or at > total:
                raise InvalidArgument(f"recording '{self.path}' is truncated or damaged at byte {numbers - _RECORD.size}")
            values = self._bytes[numbers:record.offset].view("<i8").tolist()
            record.dims, record.symbols = values[:num_dims], values[num_dims:]
            if kind == END:
                self.is_complete = record.place == 1
            else:
                self.records.append(record)

    def array(self, record, dtype, dims):
        """The payload as an array of this type and shape; a record may have room for more than that."""
        count = int(np.prod(dims, dtype=np.int64))
        num_bytes = count * dtype.itemsize
        if num_bytes > record.num_bytes:
            raise InvalidArgument(f"recording '{self.path}': a record has {record.num_bytes} bytes, expected {num_bytes}")
        return self._bytes[record.offset:record.offset + num_bytes].view(dtype).reshape(dims)
