"""Every example runs and shows what its README says."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import subprocess
import sys

import models
from PIL import Image

EXAMPLES = models.ROOT / "examples"


def run(command, where):
    path = os.pathsep.join([str(models.BUILD / "python"), str(models.ROOT / "python")])
    env = dict(os.environ, PATH=f"{models.BUILD / 'bin'}{os.pathsep}{os.environ['PATH']}", PYTHONPATH=path)
    return subprocess.run([str(word) for word in command], cwd=where, env=env, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=600)


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text()
    folders = [path.name for path in EXAMPLES.iterdir() if path.is_dir()]
    assert folders and all(f"[{name}]({name})" in listed and (EXAMPLES / name / "README.md").exists() for name in folders)


def test_read_a_page(tmp_path):
    done = run([sys.executable, EXAMPLES / "1-read-a-page/read_page.py", "--output-dir", "out"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert Image.open(tmp_path / "out/page.png").size == (1280, 320)


def test_where_to_cut(tmp_path):
    model = models.ocr("ch_ppocr_mobile_v2.0_cls_infer")()
    script = EXAMPLES / "2-where-to-cut/where_to_cut.sh"
    done = run([script, model, "hardswish_4.tmp_0", "--shape", "x=1x3x48x192"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "both give the same bits" in done.stdout
    assert "<svg" in (tmp_path / "results/plan.html").read_text()


def test_where_to_cut_says_how_it_is_used(tmp_path):
    done = run([EXAMPLES / "2-where-to-cut/where_to_cut.sh"], tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("usage: ")
