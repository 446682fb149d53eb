// SPDX-License-Identifier: MIT
// Where the receive thread leaves things: frames by time, the voice in a ring, events in a queue.
// Each has its own lock, held for the time of a copy.
#pragma once

#include <zmq.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "wire.hpp"

namespace rb {

// A received message that keeps its bytes.
class Packet {
 public:
  Packet() { zmq_msg_init(&bytes_); }
  ~Packet() { zmq_msg_close(&bytes_); }
  Packet(const Packet &) = delete;
  Packet &operator=(const Packet &) = delete;

  zmq_msg_t *raw() { return &bytes_; }
  std::string_view view() {
    return {static_cast<const char *>(zmq_msg_data(&bytes_)), zmq_msg_size(&bytes_)};
  }
  Message message;  // views of the bytes

 private:
  zmq_msg_t bytes_;
};

using PacketPtr = std::shared_ptr<Packet>;

// The newest item for whoever waits, and some older ones by media time.
class History {
 public:
  explicit History(size_t capacity) : capacity_(capacity) {}

  // With `fresh` false it can be had by time only, until a newer one comes or `Refresh` is called.
  void Put(PacketPtr packet, bool fresh = true);
  void Refresh();  // the newest one may be had after all
  void Clear();    // a new epoch or stream: what is older is void
  // The newest one if it was not fetched; waits for one if `timeout` is not zero.
  PacketPtr Latest(std::chrono::milliseconds timeout);
  // The newest one with a pts up to `media_ns`, else the oldest; null if there is none.
  PacketPtr At(int64_t media_ns);
  void Close();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<PacketPtr> packets_;
  bool Waits();

  size_t capacity_;
  std::chrono::steady_clock::time_point put_, asked_;
  bool fresh_ = false, waits_ = false;
  bool closed_ = false;
};

// Samples in order with the media time of each; the oldest are lost when it is full.
class VoiceRing {
 public:
  explicit VoiceRing(size_t capacity) : data_(capacity) {}

  void Put(std::string_view payload, int64_t sample_index);
  void Clear();
  size_t Read(float *samples, size_t count, int64_t *pts_ns);
  size_t available();
  void Skip(size_t keep);
  uint64_t lost();

 private:
  void Append(const float *samples, size_t count);

  std::mutex mutex_;
  std::vector<float> data_;
  std::vector<float> piece_;
  size_t begin_ = 0, size_ = 0;
  int64_t next_index_ = -1;  // media index of the sample that is appended next
  uint64_t lost_ = 0;
};

// Events in order; the oldest are lost when it is full.
class EventQueue {
 public:
  void Put(PacketPtr packet);
  PacketPtr Next(std::chrono::milliseconds timeout);
  void Close();
  uint64_t lost();

 private:
  static constexpr size_t kCapacity = 512;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<PacketPtr> packets_;
  bool closed_ = false;
  uint64_t lost_ = 0;
};

}  // namespace rb
