"""Each check script finds what it is for, and stays quiet on a clean tree."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import check_constraints
import check_docs
import check_lit
import check_map
import check_models
import check_python
import check_reliability
import check_size
import check_text
import pytest

SPDX = "// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception\n"


@pytest.fixture
def tree(tmp_path):
    """A function that writes files into an empty folder, which it returns."""
    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path
    return write


def lit_findings(tree, body):
    return check_lit.check(tree(test__a_DOT_mlir="// RUN: penstock-opt %s | FileCheck %s\n" + body))


@pytest.mark.parametrize("body, expected", [
    ("// CHECK-LABLE: func\n", "'CHECK-LABLE:' is no directive"),
    ("// CHEKC: func\n", "'CHEKC:' is no directive"),
    ("// CHECK-NEXT func\n", "without a colon"),
    ("// CHECK: %0 = nn.relu\n", "SSA number"),
    ("// CHECK\n" * 401, "expected at most 400"),
])
def test_lit_finds(tree, body, expected):
    findings = lit_findings(tree, body)
    assert len(findings) == 1 and expected in findings[0]


@pytest.mark.parametrize("body", [
    "// CHECK-LABEL: func\n// CHECK-NEXT: %[[A:.*]] = nn.relu\n// CHECK-COUNT-2: x\n// CHECK-DAG: y\n",
    "// RUN: FileCheck %s --check-prefix=FOO\n// FOO-SAME: z\n",
    "// CHECK{LITERAL}: [[a]]\n// NOTE: %0 is fine in prose\n",
])
def test_lit_stays_quiet(tree, body):
    assert lit_findings(tree, body) == []


TABLEGEN = """class NN_AxisOp<string mnemonic> : NN_Op<mnemonic> {
  let description = [{
    * (C1) `axis` is an axis.
  }];
}
def NN_SoftmaxOp : NN_AxisOp<"softmax">;
def NN_ConvOp : NN_Op<"conv"> {
  let description = [{
    * (C2) strides are positive.
  }];
}
"""


def test_constraints(tree):
    files = dict(include__o_DOT_td=TABLEGEN, lib__a_DOT_cpp="// softmax_c1\n// conv_c2\n")
    assert check_constraints.check(tree(**files, test__Dialect__b_DOT_mlir="// softmax_c1\nfunc.func @conv_c2()\n")) == []


def test_constraints_finds(tree):
    findings = check_constraints.check(tree(include__o_DOT_td=TABLEGEN, lib__a_DOT_cpp="// conv_c2\n",
                                            test__Dialect__b_DOT_mlir="// softmax_c1\n"))
    assert [finding.split(": ", 1)[1].split(";")[0] for finding in findings] == \
        ["no code names softmax_c1", "no test names conv_c2"]


def test_lit_wants_a_run_line(tree):
    assert "no RUN line" in check_lit.check(tree(test__b_DOT_mlir="// CHECK: x\n"))[0]


def test_size(tree):
    findings, warnings = check_size.check(tree(
        lib__a_DOT_cpp="int x;\n" * 601, lib__b_DOT_cpp="int x;\n" * 600,
        lib__c_DOT_cpp="void f(int a) {\n" + "  a++;\n" * 90 + "}\n", lib__d_DOT_cpp="void f(int a) {\n  a++;\n}\n"))
    assert len(findings) == 1 and findings[0].startswith("lib/a.cpp")
    assert len(warnings) == 1 and warnings[0].startswith("lib/c.cpp:1:")


@pytest.mark.parametrize("line, is_found", [
    ("// as in ResNet-50", True), ('if (name == "silero_vad")', True), ("bertModel", False), ("BERT base", True),
    ("// activates the vitals", False), ("gpt2", True), ("residual", False)])
def test_models(tree, line, is_found):
    findings = check_models.check(tree(runtime__lib__a_DOT_cpp=f"int x;\n{line}\n", test__e2e__b_DOT_py=line + "\n"))
    assert len(findings) == int(is_found)


@pytest.mark.parametrize("file, is_found", [
    ("runtime__lib__a_DOT_cpp", True), ("runtime__devices__cpu__onednn__a_DOT_cpp", False), ("lib__a_DOT_cpp", False)])
def test_models_no_operator_in_the_runtime(tree, file, is_found):
    findings = check_models.check(tree(**{file: "void runSoftmax();\n"}))
    assert len(findings) == int(is_found)


@pytest.mark.parametrize("line", [
    "int x;\tint y;", "int x; ", "// TO" "DO: later", "// TO" "DO(anna): later", 'open("/wo' 'rk/main/x")',
    "// see py" "pi.org"])
def test_text_finds(tree, line):
    assert len(check_text.check(tree(lib__a_DOT_cpp=SPDX + line + "\n"))) == 1


def test_text_stays_quiet(tree):
    assert check_text.check(tree(lib__a_DOT_cpp=SPDX + "// TODO(#12): later; see lib/work/x and /usr/lib\n")) == []


def test_text_wants_licence_and_newline(tree):
    findings = check_text.check(tree(lib__a_DOT_h="int x;\n", lib__b_DOT_h=SPDX + "int y;"))
    assert ["no licence line" in findings[0], "no newline" in findings[1], len(findings)] == [True, True, 2]


@pytest.mark.parametrize("path, header, is_found", [
    ("lib__Partition__a_DOT_cpp", "mlir/IR/Builders.h", True),
    ("lib__Partition__a_DOT_cpp", "penstock/Schedule/Problem.h", True),
    ("lib__Partition__a_DOT_cpp", "penstock/Partition/Problem.h", False),
    ("runtime__lib__a_DOT_cpp", "llvm/ADT/ArrayRef.h", True),
    ("runtime__lib__a_DOT_cpp", "penstock/Driver/Options.h", True),
    ("runtime__lib__a_DOT_cpp", "penstock/Place/Planner.h", False),
    ("lib__Dialect__NN__IR__a_DOT_cpp", "penstock/Dialect/Pipe/IR/PipeOps.h", True),
    ("lib__Dialect__Pipe__IR__a_DOT_cpp", "penstock/Dialect/NN/IR/NNOps.h", False),
    ("lib__Import__Onnx__a_DOT_cpp", "penstock/Link/BundleWriter.h", True),
    ("lib__Import__Onnx__a_DOT_cpp", "onnx/checker.h", False),
    ("lib__Driver__a_DOT_cpp", "penstock/Import/Onnx/OnnxImporter.h", False),
    ("lib__Nobody__a_DOT_cpp", "penstock/Link/Weights.h", True)])
def test_map_includes(tree, path, header, is_found):
    assert len(check_map.check_includes(tree(**{path: f'#include "{header}"\n'}))) == int(is_found)


README = "<!-- map -->\n```\nlib/\n  Link/      x\ninclude/\n```\n<!-- phases -->\n| phase | holds |\n| import | a |\n<!-- /phases -->\n"


def test_map_both_directions(tree):
    root = tree(README_DOT_md=README, lib__Link__a_DOT_cpp="", include__penstock__b_DOT_h="",
                include__penstock__Driver__Phases_DOT_def='PHASE(Import, "import", "a", f)\n')
    assert check_map.check(root) == []
    tree(lib__New__a_DOT_cpp="")
    assert check_map.check(root) == ["README.md:1: the folder map leaves out 'lib/New'"]
    (root / "lib/Link/a.cpp").unlink()
    (root / "lib/Link").rmdir()
    assert "names 'lib/Link', which does not exist" in check_map.check(root)[0]


def test_phases_both_directions(tree):
    root = tree(include__penstock__Driver__Phases_DOT_def='PHASE(Import, "import", "a", f)\nPHASE(Fuse, "fuse", "b", g)\n')
    assert "says import; Phases.def says import fuse" in check_map.check_phases(root, README)[0]
    assert check_map.check_phases(root, README + "") != []


def test_map_expands_braces():
    assert check_map.map_paths("runtime/  x\n  transports/{inproc,shm}  y\nlib/") == [
        "runtime/", "runtime/transports/inproc", "runtime/transports/shm", "lib/"]


RELIABILITY = "| fault | what happens | test |\n|---|---|---|\n| it dies | it ends | {} |\n"
RELIABILITY_TESTS = {"test__a_DOT_py": "def test_dies(x):\n    pass\n", "test__b_DOT_cpp": "TEST_F(Faults, dies) {\n}\n"}


@pytest.mark.parametrize("cell, expected", [
    ("`test/a.py::test_dies`", None), ("`test/b.cpp::Faults.dies`, `test/a.py::test_dies`", None),
    ("`test/a.py::test_die`", "'test/a.py' has no test 'test_die'"),
    ("`test/b.cpp::Faults.lives`", "'test/b.cpp' has no test 'Faults.lives'"),
    ("`test/c.py::test_dies`", "'test/c.py' does not exist"), ("none yet", "a row without a test")])
def test_reliability_names_tests(tree, cell, expected):
    findings = check_reliability.check(tree(docs__Reliability_DOT_md=RELIABILITY.format(cell), **RELIABILITY_TESTS))
    assert findings == [] if expected is None else len(findings) == 1 and expected in findings[0]


def test_reliability_without_a_table(tree):
    assert "no table" in check_reliability.check(tree(docs__Reliability_DOT_md="All is well.\n"))[0]


@pytest.mark.parametrize("line, expected", [
    ("[a](docs/A.md), [a](docs/A.md#two-words), [up](#top), [out](https://host/x)", None),
    ("[a](docs/A.md) and `docs/A.md`, `runtime/a.h`, `a.h`", None),
    ("[a](docs/A.md)\n```\n[b](docs/B.md)\n```\n`[b](docs/B.md)`\n\n    [b](docs/B.md)\n", None),
    ("[a](docs/A.md)\n- item\n    [b](docs/B.md)", "4: links to 'docs/B.md', which does not exist"),
    ("[a](docs/A.md#three)", "2: links to 'docs/A.md#three', but 'docs/A.md' has no such heading"),
    ("[a](docs/A.md) [up](#bottom)", "no such heading"),
    ("[a](docs/A.md) `lib/a.cpp`", "2: names 'lib/a.cpp', which does not exist"),
    ("`[a](docs/A.md)`", "docs/A.md:1: no links lead here"),
    ("[a](docs/A.md)" + "x" * 107, "121 columns")])
def test_docs(tree, line, expected):
    findings = check_docs.check(tree(README_DOT_md=f"# Top\n{line}\n", runtime__a_DOT_h="",
                                     docs__A_DOT_md="# A\n## `Two` words!\n[b](../README.md#top)\n"))
    assert findings == [] if expected is None else len(findings) == 1 and expected in findings[0]


def test_every_decision_is_listed(tree):
    root = tree(README_DOT_md="[a](docs/A.md) [docs](docs/README.md)\n", docs__README_DOT_md="[one](decisions/0001-one.md)\n",
                docs__A_DOT_md="[two](decisions/0002-two.md)\n", docs__decisions__0001_minus_one_DOT_md="# One\n",
                docs__decisions__0002_minus_two_DOT_md="# Two\n")
    for path in (root / "docs/decisions").iterdir():
        path.rename(path.with_name(path.name.replace("_minus_", "-")))
    finding, = check_docs.check(root)
    assert finding.startswith("docs/decisions/0002-two.md:1: docs/README.md does not list")


@pytest.mark.parametrize("text, expected", [
    ('"""Doc."""\nimport os.path\nfrom a import b as c\nprint(os.sep, c)\n', []), ("", []),
    ('"""Doc."""\nimport re\n\ndef f():\n    import os\n', ["2: imports 're'", "5: imports 'os'"]),
    ("import re\nre.sub\n", ["1: a module without a docstring"])])
def test_python(tree, text, expected):
    findings = check_python.check(tree(a_DOT_py=text))
    assert len(findings) == len(expected) and all(word in finding for word, finding in zip(expected, findings))
    assert not check_python.check_file(check_python.sources.pathlib.PurePosixPath("p/__init__.py"), '"""Doc."""\nimport re\n')
