// SPDX-License-Identifier: MIT
// The lines that were said here and have no end yet. Whatever happens, each of them ends once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "rest_bridge/rest_bridge.h"

namespace RestBridgeCore {

struct LineEvent {
  enum class Kind { kStarted, kMark, kFinished };
  Kind kind = Kind::kStarted;
  std::string line, mark;
  int64_t position_ns = 0;
  bool interrupted = false;
  std::string error;  // why it never came to be spoken; empty if it did
};

// Used by one thread.
class Lines {
 public:
  void Open(const std::string &line) { open_[line] = false; }
  // Adds what an event of kind "speech" means for our lines.
  void Note(const rb_map *body, std::vector<LineEvent> *out);
  // The line could not be sent: it ends here.
  void Fail(const std::string &line, const std::string &error, std::vector<LineEvent> *out);
  // Another daemon knows nothing of our lines: all of them end here.
  void FailAll(const std::string &error, std::vector<LineEvent> *out);
  std::vector<std::string> names() const;

 private:
  std::map<std::string, bool> open_;  // whether it has started
};

}  // namespace RestBridgeCore
