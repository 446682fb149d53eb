// SPDX-License-Identifier: MIT
// libFuzzer: any bytes are decoded or refused. `rb-fuzz -max_total_time=3600 CORPUS`.
#include <cstdlib>

#include "wire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A copy of exactly this size, so that the sanitizer sees every step beyond its end.
  const std::string copy(reinterpret_cast<const char *>(data), size);
  rb::Message message;
  std::string error;
  if (!rb::Decode(copy, &message, &error)) {
    if (error.empty()) std::abort();
    return 0;
  }
  std::string json;
  for (const auto &[key, value] : message.body.pairs()) rb::AppendJson(value, &json);
  if (message.topic == rb::Topic::kFrame && message.payload.empty()) std::abort();
  return 0;
}
