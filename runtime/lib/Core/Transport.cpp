//===- Transport.cpp - Channel descriptions ----------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Transport.h"

namespace penstock {
namespace rt {

std::string stageName(int32_t stage) {
  if (stage == RT_STAGE_SOURCE)
    return "source";
  if (stage == RT_STAGE_SINK)
    return "sink";
  return "stage " + std::to_string(stage);
}

static std::string numbers(const std::vector<int32_t> &values) {
  std::string text;
  for (int32_t value : values)
    text += (text.empty() ? "" : ",") + std::to_string(value);
  return text;
}

static std::string dtypeWords(int32_t dtype) {
  const char *name = dtypeName(dtype);
  return name ? name : std::to_string(dtype);
}

std::string describeDifference(const ChannelDesc &here, const ChannelDesc &there) {
  auto differ = [](const char *what, const std::string &a, const std::string &b) {
    return std::string(what) + " is " + b + " there and " + a + " here";
  };
  if (here.name != there.name)
    return differ("name", "'" + here.name + "'", "'" + there.name + "'");
  if (here.tensor != there.tensor)
    return differ("tensor", "'" + here.tensor + "'", "'" + there.tensor + "'");
  if (here.dtype != there.dtype)
    return differ("type", dtypeWords(here.dtype), dtypeWords(there.dtype));
  if (here.dims != there.dims)
    return differ("shape", dimsToString(here.dims), dimsToString(there.dims));
  if (here.producerStage != there.producerStage)
    return differ("producer", stageName(here.producerStage), stageName(there.producerStage));
  if (here.consumerStages != there.consumerStages)
    return differ("list of consumers", numbers(here.consumerStages), numbers(there.consumerStages));
  if (here.depth != there.depth)
    return differ("depth", std::to_string(here.depth), std::to_string(there.depth));
  if (here.slotBytes != there.slotBytes)
    return differ("slot size", std::to_string(here.slotBytes), std::to_string(there.slotBytes));
  if (here.numSymbols != there.numSymbols)
    return differ("number of symbols", std::to_string(here.numSymbols), std::to_string(there.numSymbols));
  return std::string();
}

} // namespace rt
} // namespace penstock
