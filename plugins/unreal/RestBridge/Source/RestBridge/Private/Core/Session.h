// SPDX-License-Identifier: MIT
// One face: its pictures by the voice that is heard, its lines, its wishes. Knows no engine.
//
// Threads: the audio thread calls FillVoice(), any thread Look(); everything else belongs to the
// game thread. Nothing here waits for the network but the destructor, which ends the library's
// thread and two workers (within a fifth of a second).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "FrameSlots.h"
#include "KeyFile.h"
#include "Lines.h"
#include "Link.h"
#include "VoiceSchedule.h"
#include "Worker.h"
#include "rest_bridge/rest_bridge.h"

namespace RestBridgeCore {

struct SessionSettings {
  std::string frames = "tcp://127.0.0.1:5570", events = "tcp://127.0.0.1:5571";
  std::string control = "tcp://127.0.0.1:5572", speech = "tcp://127.0.0.1:5573";
  Keys keys;  // empty: none
  bool pictures = true, voice = true;
  uint32_t history_frames = 16;  // kept to choose from by time: 1 MiB each at 512 x 512
  uint32_t voice_buffer_ms = 1000;
  VoiceSettings schedule;
};

// A picture that is held until Release(), on whatever thread.
struct Picture {
  rb_frame frame{};
  void Release() { rb_frame_release(&frame); }
};

using Argument = std::variant<bool, int64_t, double, std::string>;
using Arguments = std::vector<std::pair<std::string, Argument>>;

struct Reply {
  int64_t id = 0;
  std::string operation, error, json;
  rb_result result = RB_OK;
};

// What a tick has brought; vectors keep their memory from tick to tick.
struct News {
  LinkNews link;
  std::vector<LineEvent> lines;
  std::vector<Reply> replies;
};

// A look from outside, for a status panel.
struct View {
  rb_status status{};
  std::string refusal;
  VoiceCounts voice;
  size_t open_lines = 0;
};

struct Mark {
  size_t sample = 0;
  std::string name;
};

class Session {
 public:
  // Null and one sentence if the addresses or keys cannot be used. A daemon that does not run is
  // no error: it may come later.
  static std::shared_ptr<Session> Open(const SessionSettings &settings, std::string *error);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  void FillVoice(float *samples, size_t count, int64_t now_ns);

  void Tick(int64_t now_ns, News *news);
  LinkState state() const { return link_.state(); }
  int64_t HeardNs(int64_t now_ns) const { return voice_.HeardNs(now_ns); }
  // The picture of the sample that is heard, or the newest one without sound; false if that is
  // the one of the last call.
  bool NextPicture(int64_t now_ns, Picture *picture);
  // The face's values of that instant.
  bool NextRig(int64_t now_ns, rb_rig *rig);

  // Opens a line (an empty name makes one) and returns its name. Push 16-bit samples, interleaved,
  // as they come; end it. Lines are spoken in the order of their opening.
  std::string OpenLine(const std::string &name, uint32_t rate_hz, uint32_t channels);
  void PushLine(const std::string &line, std::vector<int16_t> samples, std::vector<Mark> marks);
  void EndLine(const std::string &line);
  // Interrupts these lines, or all that were opened here; each gets its end.
  void Flush(std::vector<std::string> lines);

  // Any operation of PROTOCOL.md; its reply comes in the news. Returns its id.
  int64_t Request(const std::string &operation, const Arguments &arguments);
  // Wishes are asked for as soon as there is a daemon, and again of every new one.
  void WishAvatar(const std::string &avatar);
  void WishExpression(const std::string &name, double strength);

  View Look() const;

 private:
  struct Wish {
    Arguments arguments;
    bool wanted = false, open = false;
    int64_t request = 0;  // on its way
    Backoff backoff;
  };
  struct OpenSpeech {
    rb_speech *speech = nullptr;
    uint32_t rate_hz = 0, channels = 1;
  };

  Session(const SessionSettings &settings, rb_client *client);
  void TakeEvents(News *news);
  void TakeFindings(News *news);
  void Grant(int64_t now_ns);
  void Judge(const Reply &reply, int64_t now_ns);
  void PostSpeech(const std::string &line, Worker::Job job);
  void Report(const std::string &line, const std::string &error);
  void Push(const std::string &line, const int16_t *samples, size_t count);
  bool IsDropped(const std::string &line) const;
  Reply Ask(const std::string &operation, const Arguments &arguments);
  void AskToFlush(const std::vector<std::string> &lines);

  rb_client *const client_;
  VoiceSchedule voice_;
  const bool has_voice_;
  // game thread
  Link link_;
  Lines lines_;
  std::map<std::string, Wish> wishes_;  // by operation
  int64_t shown_sequence_ = -1, shown_epoch_ = -1, shown_rig_ = -1;
  int64_t next_request_ = 1;
  uint64_t next_line_ = 1;
  const uint32_t salt_;
  std::atomic<size_t> num_open_lines_{0};
  // speech worker
  std::map<std::string, OpenSpeech> speeches_;
  // shared
  std::atomic<bool> closing_{false};
  mutable std::mutex mutex_;  // guards the next three
  std::vector<Reply> replies_;
  std::vector<std::pair<std::string, std::string>> failures_;  // line, error
  std::set<std::string> dropped_;  // lines that were flushed: nothing more is sent of them
  // last: they use the others
  Worker requests_, speech_;
};

}  // namespace RestBridgeCore
