// SPDX-License-Identifier: MIT
#include "Lines.h"

namespace RestBridgeCore {

void Lines::Note(const rb_map *body, std::vector<LineEvent> *out) {
  const auto line = open_.find(rb_map_text(body, "utt", ""));
  if (line == open_.end()) return;
  LineEvent event;
  event.line = line->first;
  event.position_ns = rb_map_int(body, "position", 0);
  const std::string what = rb_map_text(body, "event", "");
  if (what == "started") {
    line->second = true;
  } else if (what == "mark") {
    event.kind = LineEvent::Kind::kMark;
    event.mark = rb_map_text(body, "mark", "");
  } else if (what == "finished") {
    event.kind = LineEvent::Kind::kFinished;
    event.interrupted = rb_map_bool(body, "interrupted", 0) != 0;
    open_.erase(line);
  } else {
    return;  // underrun, resumed: the face waits for more
  }
  out->push_back(event);
}

void Lines::Fail(const std::string &line, const std::string &error, std::vector<LineEvent> *out) {
  if (open_.erase(line) == 0) return;
  LineEvent event;
  event.kind = LineEvent::Kind::kFinished;
  event.line = line;
  event.interrupted = true;
  event.error = error;
  out->push_back(event);
}

void Lines::FailAll(const std::string &error, std::vector<LineEvent> *out) {
  for (const std::string &line : names()) Fail(line, error, out);
}

std::vector<std::string> Lines::names() const {
  std::vector<std::string> out;
  for (const auto &entry : open_) out.push_back(entry.first);
  return out;
}

}  // namespace RestBridgeCore
