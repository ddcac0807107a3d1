"""penstock.Session: a compiled folder, running, in the manner of onnxruntime.InferenceSession."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import atexit
import collections
import concurrent.futures
import os
import queue
import threading
import weakref

import numpy as np

from penstock import _native
from penstock.errors import Error, InvalidArgument

_DTYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bool": np.bool_,
           **{f"{kind}{bits}": np.dtype(f"{kind}{bits // 8}") for kind in "iu" for bits in (8, 16, 32, 64)}}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_ONNX_TYPES = {"f32": "float", "f64": "double", "f16": "float16", "bf16": "bfloat16", "bool": "bool",
               **{f"i{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
               **{f"u{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)}}

NodeArg = collections.namedtuple("NodeArg", "name shape type")
NodeArg.__doc__ = "An input or output: its name, its shape (numbers, or names of dimensions), its type as tensor(float)."


def _dtype(name):
    if name == "bf16":
        try:
            import ml_dtypes
        except ImportError:
            raise Error("tensors of type bf16 need the package ml_dtypes") from None
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(_DTYPES[name])


def _to_native(name, value):
    array = np.asarray(value, order="C")
    dtype = _NAMES.get(array.dtype) or ("bf16" if array.dtype.name == "bfloat16" else None)
    if not dtype:
        raise InvalidArgument(f"input '{name}' has type {array.dtype}, expected one of {', '.join(_ONNX_TYPES)}")
    # Flat, as bytes; no copy where the array is contiguous already.
    return dtype, array.shape, array.reshape(-1).view(np.uint8)


def _from_native(value):
    name, dims, array = value
    return array.view(_dtype(name)).reshape(dims)


class _Collector(threading.Thread):
    """Completes the futures of a session in the order of their requests."""

    def __init__(self, native):
        super().__init__(name="penstock-collect", daemon=True)
        self.native, self.waiting = native, queue.SimpleQueue()
        self.start()

    def run(self):
        while True:
            entry = self.waiting.get()
            if entry is None:
                return
            request, future, convert = entry
            try:
                result = convert(self.native.collect(request))
            except BaseException as error:    # whatever it is, the one who waits must hear of it
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
            del entry, future, convert


class Session:
    """A compiled folder whose stages keep running between calls.

    folder: what penstock.compile returned.
    timeout: seconds to wait without any progress before the run has failed; 0: for ever.
    trace_events: how many events of each stage to keep for write_trace().
    verify_weights: checksum weights files above 1 GiB too.
    spin: whether stages may spin before they sleep where there are cores enough.

    Methods may be called from several threads. Waiting releases the interpreter's lock.
    """

    def __init__(self, folder, *, timeout=30.0, trace_events=0, verify_weights=False, spin=True):
        if not timeout >= 0:
            raise InvalidArgument(f"timeout is {timeout}; expected seconds, 0 or more")
        self._lock = threading.Lock()
        self._collector = None
        self._closed = False
        self._native = _native.Session(os.fspath(folder), min(float(timeout), 1e9), trace_events, verify_weights, spin)
        self._inputs = [NodeArg(name, dims, f"tensor({_ONNX_TYPES[dtype]})")
                        for name, dtype, dims in self._native.inputs()]
        self._outputs = [NodeArg(name, dims, f"tensor({_ONNX_TYPES[dtype]})")
                         for name, dtype, dims in self._native.outputs()]

        _open_sessions.add(self)

    def get_inputs(self):
        """The model's inputs, in order."""
        return list(self._inputs)

    def get_outputs(self):
        """The model's outputs, in order."""
        return list(self._outputs)

    def _submit(self, output_names, input_feed):
        known = [output.name for output in self._outputs]
        names = known if output_names is None else list(output_names)
        for name in names:
            if name not in known:
                raise InvalidArgument(f"the model has no output '{name}'; expected {', '.join(map(repr, known))}")
        request = self._native.submit({name: _to_native(name, value) for name, value in input_feed.items()})
        return request, lambda outputs: [_from_native(outputs[name]) for name in names]

    def run(self, output_names, input_feed):
        """The named outputs (None: all, in order) for these inputs, as a list of arrays."""
        request, convert = self._submit(output_names, input_feed)
        return convert(self._native.collect(request))

    def submit(self, output_names, input_feed):
        """Like run(), but returns a concurrent.futures.Future at once. Any number may be in flight; the arrays must not
        be changed before their future is done."""
        with self._lock:
            if self._closed:
                raise Error("the session is closed")
            request, convert = self._submit(output_names, input_feed)
            if not self._collector:
                self._collector = _Collector(self._native)
            future = concurrent.futures.Future()
            future.set_running_or_notify_cancel()
            self._collector.waiting.put((request, future, convert))
        return future

    def run_async(self, output_names, input_feed, callback, user_data=None):
        """Calls callback(outputs, user_data, error) from another thread; `error` is a text, empty when all went well."""
        def finish(future):
            error = future.exception()
            callback([] if error else future.result(), user_data, str(error) if error else "")
        self.submit(output_names, input_feed).add_done_callback(finish)

    def stage_figures(self):
        """What each stage has done so far: ms busy, waiting for inputs and for free slots, microbatches, process id."""
        return self._native.stage_figures()

    def channel_figures(self):
        """What each channel has carried so far: messages, bytes, bytes copied."""
        return self._native.channel_figures()

    def write_trace(self, path):
        """Writes the timeline so far as Chrome/Perfetto trace events; needs trace_events."""
        self._native.write_trace(os.fspath(path))

    def close(self):
        """Lets requests in flight end, then ends the stages. Does nothing the second time."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            collector = self._collector
        if collector:
            collector.waiting.put(None)
            if collector is not threading.current_thread():
                collector.join()
        self._native.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.close()
        except Error:
            if kind is None:    # else what went wrong first is the news
                raise

    def __del__(self):
        collector = getattr(self, "_collector", None)
        if collector and not self._closed:
            collector.waiting.put(None)


_open_sessions = weakref.WeakSet()


@atexit.register
def _close_sessions():
    """The interpreter must not end while a thread of ours waits outside of it."""
    for session in list(_open_sessions):
        try:
            session.close()
        except Error:
            pass    # whoever waited for a result has been told
