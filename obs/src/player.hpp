// SPDX-License-Identifier: GPL-2.0-or-later
// Hands one connection's pictures and voice to OBS, each when it is due. One thread uses it.
#pragma once

#include <obs.h>
#include <rest_bridge/rest_bridge.h>

#include <atomic>
#include <deque>
#include <vector>

#include "media_clock.hpp"
#include "remote.hpp"

namespace face {

class Player {
 public:
  // tick_ns: from one picture of the canvas to the next. delay_ns: see MediaClock. What is pointed
  // to must outlive this object.
  Player(obs_source_t *source, rb_client *client, const Remote *remote,
         const std::atomic<int64_t> *tick_ns, int64_t delay_ns, bool voice);
  ~Player();
  Player(const Player &) = delete;
  Player &operator=(const Player &) = delete;

  // Takes what came and shows what is due; waits for a few milliseconds at most.
  void Step();
  // From the newest sample that a picture was made from to its publishing; 0 before any came.
  double daemon_latency_ms() const { return daemon_latency_ms_; }
  // Pieces of voice, or parts of them, that came too late to be heard.
  uint64_t late() const { return late_; }

 private:
  void Wait();
  void Take(const rb_frame &frame);
  void PlayVoice();
  void PlayPiece(size_t count, int64_t pts_ns);
  void Show();
  void Output(const rb_frame &frame);
  void DropQueue();
  int64_t HalfTick() const { return *tick_ns_ / 2; }

  obs_source_t *const source_;
  rb_client *const client_;
  const Remote *const remote_;
  const std::atomic<int64_t> *const tick_ns_;
  const bool voice_;
  const int64_t to_obs_clock_ns_;  // from the library's clock to OBS's
  MediaClock clock_;
  std::deque<rb_frame> queue_;
  std::vector<float> samples_, stretched_;
  std::vector<uint8_t> decoded_;
  int64_t due_move_ns_ = 0;  // movement that is less than a sample so far
  int64_t last_pts_ns_ = 0;
  uint64_t streams_ = 0, late_ = 0;
  int64_t epoch_ = -1;
  double daemon_latency_ms_ = 0;
};

}  // namespace face
