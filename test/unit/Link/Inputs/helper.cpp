extern "C" int helper(int value) { return 41 + value; }
