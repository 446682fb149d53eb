// SPDX-License-Identifier: MIT
// Reads messages from standard input, each behind its length (4 bytes, little-endian), and prints a
// line for each: "ok TOPIC" with some fields, or "no REASON".
#include <cstdio>
#include <vector>

#include "wire.hpp"

int main() {
  unsigned char head[4];
  while (std::fread(head, 1, 4, stdin) == 4) {
    const size_t size = head[0] | head[1] << 8 | head[2] << 16 | static_cast<size_t>(head[3]) << 24;
    std::vector<char> data(size);
    if (size > 0 && std::fread(data.data(), 1, size, stdin) != size) return 1;
    rb::Message message;
    std::string error;
    if (rb::Decode({data.data(), size}, &message, &error)) {
      std::printf("ok %.4s %lld %lld %zu %.*s\n", data.data(),
                  static_cast<long long>(message.sequence), static_cast<long long>(message.pts_ns),
                  message.payload.size(), static_cast<int>(message.stream.size()),
                  message.stream.data());
    } else {
      std::printf("no %s\n", error.c_str());
    }
  }
  return 0;
}
