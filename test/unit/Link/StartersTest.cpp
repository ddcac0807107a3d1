//===- StartersTest.cpp - Files for launchers ------------------------------===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Starters.h"

#include <gmock/gmock.h>

using namespace penstock::link;
using testing::HasSubstr;
using testing::Not;

namespace {

// Numbers and names of the folder stand where launchers read them, and no place is left open.
TEST(Starters, AreFilledIn) {
  std::vector<Starter> files = makeStarters({"/models/My Net.v2.onnx", 3, 2});
  ASSERT_EQ(files.size(), 3u);
  EXPECT_THAT(files[0].text, HasSubstr("\nexec mpirun -n 3 $MPIRUN_OPTIONS \"$folder/launch\" \"$@\"\n"));
  EXPECT_THAT(files[1].text, HasSubstr("\n#SBATCH --ntasks=3\n#SBATCH --cpus-per-task=2\n"));
  EXPECT_THAT(files[1].text, HasSubstr("launch\" \"$@\"\n"));
  EXPECT_THAT(files[2].text, HasSubstr("\n  completions: 3\n  parallelism: 3\n"));
  EXPECT_THAT(files[2].text, HasSubstr("value: \"penstock-my-net-v2-0.penstock-my-net-v2\"\n"));
  for (const Starter &file : files) {
    EXPECT_THAT(file.text, HasSubstr("3 stages of My Net.v2.onnx"));
    EXPECT_THAT(file.text, Not(HasSubstr("%")));
  }
}

// What Kubernetes takes for a name: small letters, digits and hyphens, a letter first, 63 of them with a pod's number.
TEST(Starters, NamesAreAllowedOnes) {
  EXPECT_EQ(jobName("resnet50.onnx"), "penstock-resnet50");
  EXPECT_EQ(jobName("--.onnx"), "penstock");
  EXPECT_EQ(jobName(""), "penstock");
  EXPECT_LE(jobName(std::string(300, 'x')).size(), 55u);
  // A model's name cannot add lines to a file.
  for (const Starter &file : makeStarters({"a\nkind: Secret.onnx", 2, 1}))
    EXPECT_THAT(file.text, Not(HasSubstr("\nkind: Secret")));
}

} // namespace
