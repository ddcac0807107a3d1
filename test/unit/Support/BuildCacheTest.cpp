//===- BuildCacheTest.cpp - What was made before ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Support/BuildCache.h"
#include "penstock/Support/ProgramIdentity.h"

#include "Testing.h"

#include "gmock/gmock.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <random>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace penstock;
using testing::HasSubstr;

namespace {

class BuildCacheTest : public testing::Test {
protected:
  std::unique_ptr<BuildCache> open(int64_t limitBytes = BuildCache::kDefaultLimitBytes) {
    auto cache = BuildCache::open(path, limitBytes);
    EXPECT_TRUE(bool(cache)) << llvm::toString(cache.takeError());
    return cache ? std::move(*cache) : nullptr;
  }
  std::string refusal() {
    auto cache = BuildCache::open(path);
    return cache ? std::string() : messageOf(cache.takeError(), 2);
  }
  /// The only file of an entry.
  std::string onlyEntry() {
    std::string found;
    std::error_code code;
    for (llvm::sys::fs::directory_iterator entry(path, code), end; entry != end && !code; entry.increment(code))
      if (llvm::StringRef(entry->path()).contains("llvmcache-")) {
        EXPECT_TRUE(found.empty());
        found = entry->path();
      }
    return found;
  }

  TemporaryFolder folder;
  std::string path = folder.file("user/cache/kernels");
};

std::string makeBytes(size_t numBytes, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(numBytes, 0);
  for (char &byte : bytes)
    byte = static_cast<char>(random());
  return bytes;
}

} // namespace

TEST_F(BuildCacheTest, FindsWhatWasAdded) {
  auto cache = open();
  EXPECT_FALSE(cache->find("a"));
  cache->add("a", "what a is made into");
  cache->add("empty", "");
  std::string large = makeBytes(5 << 20, 1);
  cache->add(large, large);
  for (auto &other : {open(), std::move(cache)}) {
    EXPECT_EQ(other->find("a"), "what a is made into");
    EXPECT_EQ(other->find("empty"), "");
    EXPECT_EQ(other->find(large), large);
    EXPECT_FALSE(other->find("b"));
    EXPECT_EQ(other->getNumDamaged(), 0);
  }
}

// Nobody else may put anything there, or read it.
TEST_F(BuildCacheTest, FolderIsPrivate) {
  open()->add("a", "bytes");
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(::stat(onlyEntry().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  for (int mode : {0755, 0710, 0702}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    EXPECT_THAT(refusal(), testing::AllOf(HasSubstr("has mode 7"), HasSubstr("expected mode 700, or --no-cache")));
  }
  ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  EXPECT_EQ(refusal(), "");
  path = folder.file("file");
  writeFile(path, "");
  EXPECT_THAT(refusal(), HasSubstr("not a directory"));
}

TEST_F(BuildCacheTest, FolderOfAnother) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can give a folder away";
  open();
  ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to user 65534; expected one of user 0"));
}

// An entry that is not as it was written counts as absent, goes away, and is made anew.
TEST_F(BuildCacheTest, DamagedEntries) {
  std::string bytes = makeBytes(3000, 2);
  std::vector<std::function<void(const std::string &)>> damages = {
      [](const std::string &file) { writeFile(file, ""); },
      [](const std::string &file) { ASSERT_EQ(::truncate(file.c_str(), 47), 0); },
      [](const std::string &file) { ASSERT_EQ(::truncate(file.c_str(), 2000), 0); },
      [](const std::string &file) { writeFile(file, readFile(file) + "x"); },
  };
  for (size_t position : {0, 9, 20, 47, 48, 1000, 3047})
    damages.push_back([=](const std::string &file) {
      std::string damaged = readFile(file);
      damaged[position] ^= 1;
      writeFile(file, damaged);
    });
  for (auto &damage : damages) {
    auto cache = open();
    cache->add("a", bytes);
    ASSERT_EQ(cache->find("a"), bytes);
    damage(onlyEntry());
    EXPECT_FALSE(cache->find("a"));
    EXPECT_EQ(cache->getNumDamaged(), 1);
    EXPECT_EQ(onlyEntry(), "");
    cache->add("a", bytes);
    EXPECT_EQ(cache->find("a"), bytes);
  }
}

// A sound entry under the name of another key, a link, and a folder are no entries.
TEST_F(BuildCacheTest, EntriesInTheWrongPlace) {
  auto cache = open();
  cache->add("a", "bytes of a");
  std::string ofA = onlyEntry(), away = folder.file("away");
  ASSERT_EQ(::rename(ofA.c_str(), away.c_str()), 0);
  cache->add("b", "bytes of b");
  std::string ofB = onlyEntry();
  ASSERT_EQ(::rename(away.c_str(), ofB.c_str()), 0);
  EXPECT_FALSE(cache->find("b"));
  cache->add("b", "bytes of b");
  ASSERT_EQ(::rename(ofB.c_str(), away.c_str()), 0);
  ASSERT_EQ(::symlink(away.c_str(), ofB.c_str()), 0);
  EXPECT_FALSE(cache->find("b"));
  ASSERT_EQ(::unlink(ofB.c_str()), 0);
  ASSERT_EQ(::mkdir(ofB.c_str(), 0700), 0);
  EXPECT_FALSE(cache->find("b"));
  cache->add("b", "bytes of b"); // cannot be kept, which is no failure
  EXPECT_FALSE(cache->find("b"));
}

// What was used last stays when there is too much.
TEST_F(BuildCacheTest, Prunes) {
  constexpr int64_t kEntryBytes = 10000;
  auto cache = open(5 * kEntryBytes);
  auto key = [](int i) { return "entry " + std::to_string(i); };
  for (int i = 0; i < 10; ++i) {
    cache->add(key(i), makeBytes(kEntryBytes - 100, i));
    ::usleep(10000); // files know when to a few milliseconds
  }
  EXPECT_TRUE(cache->find(key(0))); // the oldest, and now used
  cache->prune();
  int numLeft = 0;
  for (int i = 0; i < 10; ++i)
    numLeft += bool(cache->find(key(i)));
  EXPECT_EQ(numLeft, 5);
  EXPECT_TRUE(cache->find(key(0)));
  EXPECT_FALSE(cache->find(key(1)));
  EXPECT_TRUE(cache->find(key(9)));
}

// Processes that write the same entries, some of which are killed meanwhile, find none or the whole of it.
TEST_F(BuildCacheTest, ManyAtOnce) {
  constexpr int kNumKeys = 20, kNumProcesses = 6;
  open();
  auto work = [&](unsigned seed) {
    auto cache = open();
    std::mt19937 random(seed);
    for (int round = 0; round < 300; ++round) {
      unsigned key = random() % kNumKeys;
      std::string name = "entry " + std::to_string(key), expected = makeBytes(20000 + key, key);
      std::optional<std::string> found = cache->find(name);
      if (found && *found != expected)
        return 1;
      cache->add(name, expected);
    }
    return cache->getNumDamaged() == 0 ? 0 : 2;
  };
  std::vector<pid_t> processes;
  for (int i = 0; i < kNumProcesses; ++i) {
    processes.push_back(::fork());
    if (processes.back() == 0)
      ::_exit(work(i));
  }
  ::usleep(50000);
  for (int i = 0; i < kNumProcesses; ++i) {
    if (i < 2)
      ::kill(processes[i], SIGKILL);
    int state = 0;
    ASSERT_EQ(::waitpid(processes[i], &state, 0), processes[i]);
    if (i >= 2)
      EXPECT_EQ(WEXITSTATUS(state), 0) << i;
  }
}

// A full disk costs the entry, nothing more.
TEST_F(BuildCacheTest, DiskFull) {
  auto cache = open();
  {
    FileSizeLimit limit(1000);
    cache->add("a", makeBytes(5000, 3));
  }
  EXPECT_FALSE(cache->find("a"));
  EXPECT_EQ(countEntries(path), 0);
  cache->add("a", "bytes");
  EXPECT_EQ(cache->find("a"), "bytes");
}

// Whatever code is loaded counts: with another library it is another program, which finds nothing of the first.
TEST_F(BuildCacheTest, ProgramsDiffer) {
  std::string before = llvm::cantFail(getProgramIdentity());
  EXPECT_EQ(before.size(), 64u);
  EXPECT_EQ(before, llvm::cantFail(getProgramIdentity()));
  open()->add("a", "bytes");
  void *library = ::dlopen("libBrokenLocale.so.1", RTLD_NOW);
  if (!library)
    GTEST_SKIP() << "no library to load: " << ::dlerror();
  EXPECT_NE(before, llvm::cantFail(getProgramIdentity()));
  EXPECT_FALSE(open()->find("a"));
  ::dlclose(library);
  EXPECT_EQ(open()->find("a"), "bytes");
}

// The user's cache folder follows the XDG rules.
TEST_F(BuildCacheTest, DefaultFolder) {
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(getDefaultCacheFolder(), "/x/penstock/kernels");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/users/u", 1);
  EXPECT_EQ(getDefaultCacheFolder(), "/users/u/.cache/penstock/kernels");
  ::unsetenv("HOME");
  EXPECT_EQ(getDefaultCacheFolder(), "");
}
