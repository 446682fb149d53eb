// SPDX-License-Identifier: MIT
// The maps of the C interface.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "rest_bridge/rest_bridge.h"
#include "streams.hpp"

// Either one that is being written, or a view of a message that was received.
struct rb_map {
  using Written = std::variant<std::string, int64_t, double, bool, std::vector<std::string>>;
  std::map<std::string, Written> written;
  rb::PacketPtr packet;                              // keeps the bytes of what is viewed
  const rb::MapView *view = nullptr;                 // of the packet
  mutable std::map<std::string, std::string> texts;  // with their closing 0
  mutable std::string json;

  const rb::Value *Find(const char *key) const {
    return view == nullptr ? nullptr : view->Find(key);
  }
  std::string Pack() const;  // of what was written
};
