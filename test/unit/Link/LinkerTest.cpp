//===- LinkerTest.cpp - Objects in, one executable out ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Linker.h"

#include "Testing.h"

#include "gmock/gmock.h"
#include <sys/stat.h>

using namespace penstock;
using namespace penstock::link;
using testing::HasSubstr;

namespace {
class LinkerTest : public testing::Test {
protected:
  LinkerTest() : installation(llvm::cantFail(Installation::locate())) {
    request.objects = {PENSTOCK_TEST_HELLO, PENSTOCK_TEST_HELPER};
    request.archives = {};
    request.output = folder.file("hello");
  }
  std::string linkMessage(int status) { return messageOf(linkExecutable(installation, request), status); }

  TemporaryFolder folder;
  Installation installation;
  LinkRequest request;
};
} // namespace

// Threads, exceptions and the mathematical functions work in a program linked without any compiler.
TEST_F(LinkerTest, LinkedProgramRuns) {
  ASSERT_EQ(linkMessage(0), "");
  EXPECT_EQ(runCommand(request.output), "caught it 42 1.414\n");
}

// The executable needs the C library alone, and looks for others only beside itself.
TEST_F(LinkerTest, NeedsOnlyTheCLibrary) {
  ASSERT_EQ(linkMessage(0), "");
  llvm::Expected<std::vector<std::string>> closure = installation.closeOver({});
  ASSERT_TRUE(bool(closure));
  std::string dynamic = runCommand(std::string(PENSTOCK_TEST_READELF) + " -d " + request.output);
  EXPECT_THAT(dynamic, HasSubstr("[$ORIGIN/lib]"));
  EXPECT_THAT(dynamic, HasSubstr("libc.so.6"));
  for (const char *library : {"libstdc++", "libgcc_s", "libdnnl", "libpthread"})
    EXPECT_THAT(dynamic, testing::Not(HasSubstr(library)));
}

// The same inputs give the same bytes, also in another folder and after other links.
TEST_F(LinkerTest, Reproducible) {
  ASSERT_EQ(linkMessage(0), "");
  std::string first = readFile(request.output);
  TemporaryFolder other;
  request.output = other.file("hello");
  ASSERT_EQ(linkMessage(0), "");
  EXPECT_FALSE(first.empty());
  EXPECT_TRUE(first == readFile(request.output));
}

TEST_F(LinkerTest, UndefinedSymbol) {
  request.objects.pop_back();
  std::string message = linkMessage(1);
  EXPECT_THAT(message, HasSubstr("cannot link 'hello': undefined symbol: helper (referenced by"));
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_FALSE(llvm::sys::fs::exists(request.output));
  // An ordinary error leaves the linker usable.
  request.objects.push_back(PENSTOCK_TEST_HELPER);
  EXPECT_EQ(linkMessage(0), "");
}

TEST_F(LinkerTest, MissingObject) {
  request.objects.push_back(folder.file("absent.o"));
  EXPECT_EQ(linkMessage(2), "cannot link object '" + folder.file("absent.o") + "': no such file or directory");
}

TEST_F(LinkerTest, ObjectThatIsNone) {
  request.objects.push_back(folder.file("text.o"));
  writeFile(request.objects.back(), "this is no object\n");
  EXPECT_THAT(linkMessage(1), HasSubstr("cannot link 'hello'"));
}

TEST_F(LinkerTest, MissingLibrary) {
  request.libraries = {"libabsent.so.1"};
  EXPECT_THAT(linkMessage(1), HasSubstr("lacks 'shared/libabsent.so.1'"));
}

TEST_F(LinkerTest, MissingFolder) {
  request.output = folder.file("absent/hello");
  EXPECT_EQ(linkMessage(2), "cannot write executable '" + request.output + "': no such file or directory");
  request.output = std::string(PENSTOCK_TEST_HELLO) + "/hello";
  EXPECT_THAT(linkMessage(2), HasSubstr("not a directory"));
}

TEST_F(LinkerTest, UnwritableFolder) {
  ::chmod(folder.path().c_str(), 0555);
  uid_t user = ::geteuid();
  if (user == 0)
    ASSERT_EQ(::seteuid(65534), 0); // Root may write everywhere.
  EXPECT_EQ(linkMessage(2), "cannot write executable '" + request.output + "': permission denied");
  ASSERT_EQ(::seteuid(user), 0);
  ::chmod(folder.path().c_str(), 0700);
}

TEST_F(LinkerTest, DiskFull) {
  {
    FileSizeLimit limit(10000);
    EXPECT_EQ(linkMessage(1), "cannot write executable '" + request.output + "': file too large");
  }
  EXPECT_EQ(countEntries(folder.path()), 0);
  EXPECT_EQ(linkMessage(0), "");
}

// What libdnnl needs comes with it; the C library does not.
TEST_F(LinkerTest, SharedLibrariesCloseOverTheirNeeds) {
  llvm::Expected<std::vector<std::string>> closure = installation.closeOver({"libdnnl.so.2"});
  ASSERT_TRUE(bool(closure)) << llvm::toString(closure.takeError());
  EXPECT_THAT(*closure, testing::IsSupersetOf({"libdnnl.so.2", "libgomp.so.1", "libstdc++.so.6"}));
  EXPECT_THAT(*closure, testing::Not(testing::Contains("libc.so.6")));
  EXPECT_THAT(*closure, testing::Not(testing::Contains("libm.so.6")));
}

// After a fatal error of the linker, which a damaged object causes, calls are refused instead of trusted.
TEST(LinkerDeathTest, DamagedObject) {
  auto link = [](std::string &first, std::string &second) {
    TemporaryFolder folder;
    Installation installation = llvm::cantFail(Installation::locate());
    LinkRequest request;
    request.archives = {};
    request.output = folder.file("hello");
    std::string bytes = readFile(PENSTOCK_TEST_HELLO);
    bytes.replace(40, 8, std::string(8, '\x7f')); // e_shoff
    writeFile(folder.file("damaged.o"), bytes);
    request.objects = {folder.file("damaged.o"), PENSTOCK_TEST_HELPER};
    int status = exitStatus(linkExecutable(installation, request), first);
    request.objects[0] = PENSTOCK_TEST_HELLO;
    exitStatus(linkExecutable(installation, request), second);
    return status;
  };
  auto damaged = [&] {
    std::string first, second;
    int status = link(first, second);
    std::fprintf(stderr, "%d %s\n%s\n", status, first.c_str(), second.c_str());
    std::exit(status);
  };
  EXPECT_EXIT(damaged(), testing::ExitedWithCode(1), "1 cannot link 'hello': .*damaged.o");
}
