// A program that needs the start-up code, the C++ runtime (an exception crosses frames), and the C library.
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

extern "C" int helper(int value);

static int thrower(const std::string &text) { throw std::runtime_error("caught " + text); }

int main(int argc, char **) {
  int sum = 0;
  std::thread worker([&] { sum = helper(argc); });
  worker.join();
  try {
    return thrower("it");
  } catch (const std::exception &error) {
    std::printf("%s %d %.3f\n", error.what(), sum, std::sqrt(double(argc) + 1.0));
  }
  return 0;
}
