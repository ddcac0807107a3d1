"""What the command lines of the benchmarks have in common."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def parser(description):
    """A parser with --build FOLDER and --json FILE; `description` is shown as it is written."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--build", type=pathlib.Path, default=pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build")))
    made.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures to FILE")
    return made


def keep(options, figures):
    """Writes --json FILE if it is asked for."""
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def model_path(options, name):
    """The file that `name` means: itself, or a model that tools/dev/export_models.py has written into the build folder."""
    path = pathlib.Path(name) if name.endswith(".onnx") else options.build / "models" / f"{name}.onnx"
    if not path.exists():
        raise RuntimeError(f"'{path}' is not there; ./dev accept exports the models")
    return path


def measure_models(options, measure, heading, line):
    """Prints a heading, and `line` of measure(options, path, scratch folder) for each of options.models; the exit status: 1 if one failed."""
    rows = {}
    print(heading)
    for name in options.models:
        try:
            path = model_path(options, name)
            with tempfile.TemporaryDirectory(prefix="penstock-bench-") as scratch:
                row = rows[path.stem] = measure(options, path, pathlib.Path(scratch))
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            continue
        print(line.format(model=path.stem, **row), flush=True)
    keep(options, rows)
    return 0 if len(rows) == len(options.models) else 1
