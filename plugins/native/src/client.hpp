// SPDX-License-Identifier: MIT
// One connection to a daemon: the receive thread, requests, and lines of speech.
#pragma once

#include <zmq.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "streams.hpp"

namespace rb {

using Milliseconds = std::chrono::milliseconds;

struct Settings {
  std::string frames, events, control, speech;
  rb_format format = RB_RGBA;
  bool voice = true, rig = true;
  size_t history_frames = 8, voice_samples = 2 * RB_VOICE_RATE_HZ;
  std::string server_key, public_key, secret_key;
};

// A failure of a call: what to return and one sentence.
struct Failure {
  rb_result result = RB_OK;
  std::string text;
};

// An owned socket; used by one thread at a time.
class Socket {
 public:
  Socket() = default;
  ~Socket() { Close(); }
  Socket(const Socket &) = delete;
  Socket &operator=(const Socket &) = delete;

  bool Open(void *context, int type, const Settings &settings);
  bool Set(int option, int value) {
    return zmq_setsockopt(raw_, option, &value, sizeof value) == 0;
  }
  bool Connect(const std::string &endpoint) { return zmq_connect(raw_, endpoint.c_str()) == 0; }
  void Close();
  void *raw() { return raw_; }
  explicit operator bool() const { return raw_ != nullptr; }

 private:
  void *raw_ = nullptr;
};

class Client {
 public:
  explicit Client(Settings settings);
  ~Client();
  Client(const Client &) = delete;
  Client &operator=(const Client &) = delete;

  Failure Start();
  void Cancel() { cancelled_ = true; }
  void Status(rb_status *status);
  Failure Request(std::string_view operation, std::string_view body, Milliseconds timeout,
                  PacketPtr *reply);
  Failure SendSpeech(const std::string &message, Milliseconds timeout);
  Failure ClockOffset(uint32_t exchanges, int64_t *offset_ns);
  std::string NewLineName();
  std::string Refusal();  // why the newest message that was refused was

  History frames;
  History rigs;
  VoiceRing voice;
  EventQueue events;

 private:
  void Receive();
  void Drain(void *socket);
  bool IsPast(const Message &message);
  long PatienceMs() const;
  bool IsOld(const Message &message);
  void Sort(PacketPtr packet, bool fresh);
  void NoteStream(const Message &message);
  void NoteHello(const Message &message);
  void Refuse(const char *why);

  const Settings settings_;
  void *context_ = nullptr;
  Socket frames_socket_, events_socket_, wake_receiver_, wake_sender_;
  std::thread thread_;
  std::string clock_stream_;  // used by the thread only, as the next one
  int64_t least_age_ns_ = 0, frame_heard_ns_ = 0, caught_up_ns_ = 0;
  bool held_ = false;  // the newest frame is an old one that nobody was shown yet

  std::mutex control_mutex_;
  Socket control_socket_;
  int64_t next_request_ = 1;
  std::atomic<bool> cancelled_{false};

  std::mutex speech_mutex_;
  Socket speech_socket_;
  std::atomic<uint32_t> next_line_{1};

  std::mutex status_mutex_;
  rb_status status_{};
  int64_t heard_ns_ = 0;
  std::string refusal_;
  std::string stream_;
  int64_t epoch_ = -1;
  int64_t last_sequence_ = -1;
};

int64_t NowNs();
Failure DecodeMessage(const void *data, size_t size, rb_message *message);
void CopyName(std::string_view text, char *out);

}  // namespace rb
