"""How dumps are shortened for docs/Architecture.md: nothing is lost but what stands in the block before."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import update_docs


def test_locations_and_hashes_are_left_out():
    text = '#loc1 = loc("x")\nmodule {\n  nn.call @k_0123456789abcdef0123456789abcdef loc(#loc1)\n}'
    assert update_docs.with_short_hashes(update_docs.without_locations(text), {}) == "module {\n  nn.call @k_A\n}"


def test_repetition_is_counted():
    before = ["a {", "  b", "  c", "    d", "}"]
    assert update_docs.without_repetition(["x {", "  b", "  c", "    d", "  e", "}"], before) == [
        "x {", "  // ... 3 lines as before", "  e", "}"]
    assert update_docs.without_repetition(["a {", "  b", "x"], before) == ["a {", "  b", "x"]    # short runs stay


def test_wrapped_at_blanks_outside_of_texts():
    line = "  op " + "word, " * 17 + '"a text of many words", last'
    assert len(line) > update_docs.MAX_COLUMNS
    first, second = update_docs.wrapped(line).split("\n")
    assert first == line[:len(first)] and second == '      "a text of many words", last'


def test_plan_is_spread():
    text = 'module attributes {pipe.plan = {a = 1, l = [{b = 2, c = array<i64: 0, 1>}, {b = 3}]}, z = 4} {'
    assert update_docs.with_plan(text, lambda plan: "") == "module attributes {pipe.plan = {}, z = 4} {"
    assert update_docs.with_plan(text, update_docs.spread).split("\n") == [
        "module attributes {pipe.plan = {", "    a = 1,", "    l = [{b = 2, c = array<i64: 0, 1>},",
        "      {b = 3}]}, z = 4} {"]
