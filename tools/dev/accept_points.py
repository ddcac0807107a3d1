"""The points of the acceptance list and what shows each claim; accept.py runs them."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses
import sys

from accept import ROOT, command, exists, fresh, script, tests, whole_model

sys.path.insert(0, str(ROOT / "test/e2e"))
import models    # noqa: E402


@dataclasses.dataclass(frozen=True)
class Point:
    label: str
    title: str
    claims: tuple


def family(*prefixes):
    return [name for name in models.MODELS if name.startswith(prefixes)]


OCR, VOICE = family("ocr-"), family("voice-")
LIGHT = family("light-")
TORCH = [model.name for model in models.MODELS.values() if model.tier == "torch"]

POINTS = (
    Point("1", "set-up in two commands on a fresh Debian 12", (
        ("setup does nothing the second time", command("./dev", "setup", timeout_s=900)),
        ("the demo reads its picture with the recognizer",
         command("./dev", "demo", timeout_s=900, expect="read: '")),
        ("both commands in a new Debian root", fresh()))),
    Point("2", "importer", (
        ("operators of every family, with their versions", tests("lit", r"Import/")),
        ("whole-model import against the checker", tests("unit", r"import")),
        ("unsupported operators all at once, with node names", tests("lit", r"import.*unsupported")),
        ("external data, inside the model's folder only", tests("lit unit", r"external")),
        ("model-local functions and function bodies", tests("lit", r"import.*function")),
        ("If folded, bound or kept", tests("lit", r"import.*\bif\b|import.*bind")),
        ("dimension symbols kept, shape chains fold", tests("lit", r"import.*(symbol|shape|dynamic)")))),
    Point("3", "dialects nn, pipe, rt", (
        ("nn: verifiers, inference, round trip", tests("lit", r"Dialect/NN/")),
        ("pipe: verifiers, room left on purpose", tests("lit", r"Dialect/Pipe/")),
        ("rt: verifiers, round trip", tests("lit", r"Dialect/Rt/")),
        ("whole suite under --verify-roundtrip", tests("lit", r"penstock-roundtrip :: ")),
        ("generated docs", exists("docs/generated")))),
    Point("4", "normalize and fuse", (
        ("constant folding, batch norm into convolution", tests("lit", r"NN/.*(fold|normalize)")),
        ("patterns raised: GELU, layer norm, attention", tests("lit", r"NN/.*raise")),
        ("fusion into kernels", tests("lit", r"NN/.*fuse")))),
    Point("5", "partition", (
        ("equal to an independent oracle on random graphs", tests("unit", r"partition.*oracle|oracle.*partition")),
        ("constraints: cuts, limits, links", tests("unit", r"partition")),
        ("assign in the IR", tests("lit", r"Pipe/.*assign")),
        ("penstock plan", tests("lit python e2e", r"Driver/.*plan|test_plan")))),
    Point("6", "split and schedule", (
        ("pure stages", tests("lit", r"Pipe/.*split")),
        ("role programs", tests("lit", r"Pipe/.*schedule")),
        ("liveness proof, depths, period", tests("unit", r"schedule")),
        ("microbatch proof", tests("lit", r"microbatch|batch-analysis")))),
    Point("7", "memory", (
        ("planner against brute force", tests("unit", r"place")),
        ("storage in the IR", tests("lit", r"Pipe/.*place")),
        ("weights streamed, deduplicated, checksummed", tests("unit", r"weights")),
        ("no allocation after the first microbatch", tests("unit", r"no_?allocation")))),
    Point("8", "kernels", (
        ("linalg lowering of every operator", tests("lit", r"NNToLinalg")),
        ("oneDNN kernels", tests("lit", r"Target/Cpu|OneDnn")),
        ("content-addressed objects", tests("unit lit", r"kernel.*cache|cache.*kernel")),
        ("--arch refuses a CPU that lacks instructions", tests("lit", r"arch")))),
    Point("9", "executables", (
        ("linked without a compiler", tests("unit", r"link")),
        ("needed libraries on the allow-list", tests("e2e", r"needed_libraries")),
        ("reproducible byte for byte", tests("e2e", r"reproducible")))),
    Point("10", "runtime", (
        ("transports' conformance suite", tests("unit", r"cts|conformance")),
        ("deadlines and killed stages", tests("unit e2e", r"kill|deadline|dead_stage")),
        ("under the sanitizers", tests("sanitize", r"")))),
    Point("11", "command line and Python", (
        ("command line", tests("lit", r"Driver/")),
        ("dumps, resumed from every phase", tests("lit", r"Driver/.*(resume|compile-from|dump)")),
        ("Python: compile and Session", tests("python", r"session")))),
    Point("12", "dynamic dimensions", (
        ("free shapes from one folder", whole_model("ocr-classifier", "ocr-recognizer", "ocr-detector")),
        ("bounded", tests("lit", r"bounded")))),
    Point("models", "real models with 1 to 4 stages", (
        ("text detector, recognizer, classifier", whole_model(*OCR)),
        ("voice activity, state fed back over 100 chunks", whole_model(*VOICE)),
        ("nine networks of the onnx package, shipped and refilled", whole_model(*LIGHT)),
        ("models exported with torch", whole_model(*TORCH)))),
    Point("shown", "how it is shown", (
        ("native: runs in an empty read-only root", tests("e2e", r"test_native")),
        ("pipelined: stage 0 begins before stage 1 ends", tests("python unit", r"pipelined")),
        ("no copy, own weights only", tests("e2e", r"no_copy|own_weights")),
        ("packed, layouts kept", tests("e2e", r"packed|reorder")),
        ("resume: an edited dump", tests("e2e lit", r"edited|moved_plan")),
        ("fuzz", tests("fuzz", r"")),
        ("no special cases", tests("checks", r"check_models")))),
    Point("speed", "speed and memory against peers", (
        ("benchmark table", exists("docs/Benchmarks.md")),
        ("benchmarks against peers in one run", script("bench/peers.py")))),
    Point("bad input", "a clear error, the right status, no partial output", (
        ("malformed models", tests("e2e", r"bad_input.*(bytes|malformed|unsupported|absurd|external)")),
        ("damaged folders, wrong inputs", tests("e2e", r"bad_input.*(damaged|truncated|missing|input|flags|output|folder)")))),
    Point("tests", "the layers of tests", (
        ("lit per pass", tests("lit", r"")), ("GoogleTest with oracles", tests("unit", r"")),
        ("check scripts", tests("checks", r"")), ("whole models", tests("e2e", r"")),
        ("sanitizers", tests("sanitize", r"")))),
    Point("done", "done when", (
        ("docs/Architecture.md with real dumps", exists("docs/Architecture.md")),
        ("licence and notices", exists("LICENSE", "THIRD_PARTY_NOTICES.md")))),
)
