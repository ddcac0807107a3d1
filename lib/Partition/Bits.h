//===- Bits.h - Sets of small numbers ---------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A fixed-width bit set, and helpers for sets that lie in one flat array. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_BITS_H
#define PENSTOCK_LIB_PARTITION_BITS_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::partition {

using Word = uint64_t;
inline int numWordsFor(int numBits) { return (numBits + 63) / 64; }
inline bool testBit(const Word *words, int bit) { return (words[bit >> 6] >> (bit & 63)) & 1; }
inline void setBit(Word *words, int bit) { words[bit >> 6] |= Word(1) << (bit & 63); }

class Bits {
public:
  Bits() = default;
  explicit Bits(int numBits) : words(numWordsFor(numBits), 0) {}
  bool test(int bit) const { return testBit(words.data(), bit); }
  void set(int bit) { setBit(words.data(), bit); }
  const Word *data() const { return words.data(); }
  size_t numWords() const { return words.size(); }
  void unite(const Bits &other) {
    for (size_t i = 0; i < words.size(); ++i)
      words[i] |= other.words[i];
  }
  bool any() const {
    for (Word word : words)
      if (word)
        return true;
    return false;
  }
  int count() const {
    int result = 0;
    for (Word word : words)
      result += __builtin_popcountll(word);
    return result;
  }
  bool operator==(const Bits &other) const { return words == other.words; }

private:
  std::vector<Word> words;
};

/// True if each element of `inner` is one of `outer`.
inline bool isSubset(const Word *inner, const Word *outer, size_t numWords) {
  for (size_t i = 0; i < numWords; ++i)
    if (inner[i] & ~outer[i])
      return false;
  return true;
}
inline bool intersects(const Word *a, const Word *b, size_t numWords) {
  for (size_t i = 0; i < numWords; ++i)
    if (a[i] & b[i])
      return true;
  return false;
}

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_BITS_H
