//===- FiguresJson.h - Figures of a run as JSON ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What `launch --json` and `bench --json` have in common.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_HOST_FIGURESJSON_H
#define PENSTOCK_RT_LIB_HOST_FIGURESJSON_H

#include "penstock/rt/Session.h"
#include "penstock/rt/Transport.h"

#include <nlohmann/json.hpp>

namespace penstock {
namespace rt {

inline nlohmann::ordered_json channelToJson(const ChannelFigures &channel) {
  nlohmann::ordered_json consumers = nlohmann::ordered_json::array();
  for (const ChannelFigures::Consumer &consumer : channel.consumers)
    consumers.push_back({{"to", stageName(consumer.stage)}, {"transport", consumer.transport}});
  return {{"name", channel.name},
          {"tensor", channel.tensor},
          {"messages", channel.messages},
          {"bytes", channel.bytes},
          {"bytes_copied", channel.bytesCopied},
          {"consumers", std::move(consumers)}};
}

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_HOST_FIGURESJSON_H
