// SPDX-License-Identifier: GPL-2.0-or-later
// The thread of one source: connects, plays, says what has changed, and begins again.
#pragma once

#include <obs.h>
#include <rest_bridge/rest_bridge.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "player.hpp"
#include "remote.hpp"
#include "settings.hpp"

namespace face {

class Worker {
 public:
  Worker(obs_source_t *source, Settings settings);
  ~Worker();  // joins; nothing reaches the source afterwards
  Worker(const Worker &) = delete;
  Worker &operator=(const Worker &) = delete;

  // These return at once; the thread does what they ask for.
  void Update(const Settings &settings);
  void SetShown(bool shown);
  void Tick();  // by OBS's graphics thread, for each picture of the canvas
  void Express(const std::string &name);
  void ToggleMute();
  void NextAvatar();

  std::vector<Avatar> avatars();
  std::string status();  // one sentence for the properties

 private:
  struct Connection;
  enum class State { kNew, kWaiting, kLive, kLost };

  void Run();
  std::unique_ptr<Connection> Connect(const Settings &settings);
  void Stream(Connection *connection, const Settings &settings);
  void Watch(Connection *connection);
  void Begin(Connection *connection, const rb_status &status);
  void Say(int level, const std::string &text);
  bool IsOver(const Connection &connection, const Settings &settings);
  template <typename Order>
  void Give(Order order);

  obs_source_t *const source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Settings settings_;
  bool shown_ = false, stop_ = false;
  std::string status_;
  std::mutex remote_mutex_;
  Remote *remote_ = nullptr;  // while connected
  std::atomic<int64_t> tick_ns_{0};
  // Used by the thread only; these outlive a connection, so that nothing is said twice.
  std::string shown_avatar_;
  bool refused_here_ = false;
  State state_ = State::kNew;
  int64_t renew_ns_ = 0;
  std::thread thread_;        // last: it uses all of the above
};

}  // namespace face
