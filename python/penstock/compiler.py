"""penstock.compile: the command line of the same name, as a function.

The compiler runs as a process of its own, so that it shares no libraries with the caller's process and can be interrupted.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import shutil
import subprocess
import tempfile

from penstock.errors import Error, InvalidArgument


def _find_tool():
    """The executable of this build or installation, else the first on PATH; PENSTOCK_TOOL overrides."""
    given = os.environ.get("PENSTOCK_TOOL")
    if given:
        return given
    here = pathlib.Path(__file__).parent    # not resolved: build/python/penstock has links to the sources
    for candidate in (here / "bin/penstock", here.parent.parent / "bin/penstock"):
        if candidate.is_file():
            return str(candidate.resolve())
    found = shutil.which("penstock")
    if not found:
        raise Error("the executable 'penstock' is neither beside this package nor on PATH")
    return found


def _text(value):
    """(1, 3, "?") is a shape; a range is its bounds; all else is what str() says."""
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, (tuple, list)):
        return "x".join(map(str, value))
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _flags(options):
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            yield flag
        elif isinstance(value, dict):
            for key, entry in value.items():
                yield f"{flag}={key}={_text(entry)}"
        elif isinstance(value, (list, tuple)):
            for entry in value:
                yield f"{flag}={_text(entry)}"
        else:
            yield f"{flag}={_text(value)}"


def _run(arguments):
    tool = _find_tool()
    try:
        done = subprocess.run([tool, "compile", "--quiet", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise Error(f"cannot start '{tool}': {error.strerror}") from None
    if done.returncode == 0:
        return
    lines = [line[len("error: "):] for line in done.stderr.splitlines() if line.startswith("error: ")]
    message = "\n".join(lines) or done.stderr.strip() or f"penstock compile ended with status {done.returncode}"
    raise (InvalidArgument if done.returncode == 2 else Error)(message)


def compile(model, output=None, **options):
    """Compiles an ONNX model into a folder of executables; returns the folder's path.

    model: path of an .onnx file, or an onnx.ModelProto (then `output` must be given).
    output: the folder; by default MODEL.penstock beside the model.
    options: the flags of `penstock compile` with underscores, as stages=2, dim={"batch": 8, "seq": "1..512:128"},
        shape={"x": (1, 3, 224, 224)}, bind={"sr": 16000}, cut=["relu_3"], memory_limit="8GiB".

    Raises InvalidArgument when model or options are wrong, Error when the world is.
    """
    flags = list(_flags(options))
    if not hasattr(model, "SerializeToString"):
        model = os.fspath(model)
        folder = os.fspath(output) if output is not None else os.path.splitext(model)[0] + ".penstock"
        _run([f"--output={folder}", *flags, "--", model])
        return folder
    if output is None:
        raise InvalidArgument("a model in memory has no name: expected output=FOLDER")
    with tempfile.TemporaryDirectory(prefix="penstock-") as scratch:
        path = os.path.join(scratch, "model.onnx")
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
        _run([f"--output={os.fspath(output)}", *flags, "--", path])
    return os.fspath(output)
