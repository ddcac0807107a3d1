"""Runs a command that must be refused: refused.py WORDS COMMAND... Exit status 2, nothing on stdout, and one line on stderr:
"error: ", lower case, no final period, with WORDS in it. Status 1 instead of 2: refused.py --status=1 WORDS COMMAND..."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import subprocess
import sys

arguments, status = sys.argv[1:], 2
if arguments[0].startswith("--status="):
    status = int(arguments.pop(0).partition("=")[2])
words, *command = arguments
done = subprocess.run(command, text=True, errors="replace", capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
lines = done.stderr.splitlines()
problems = []
if done.returncode != status:
    problems.append(f"exit status {done.returncode}, expected {status}")
if done.stdout:
    problems.append(f"wrote to stdout: {done.stdout[:200]!r}")
if len(lines) != 1:
    problems.append(f"{len(lines)} lines on stderr, expected 1")
for line in lines:
    text = line.removeprefix("error: ")
    if text == line or not text or text[0].isupper() and not text[1:2].isupper() or text.endswith("."):
        problems.append("expected 'error: ', lower case, no final period")
if words not in done.stderr:
    problems.append(f"expected the words {words!r}")
if problems:
    sys.exit("\n".join([*problems, " ".join(command), done.stderr]))
