// SPDX-License-Identifier: GPL-2.0-or-later
// Requests to the daemon, in a thread of their own: nothing that OBS waits for waits for them.
#pragma once

#include <rest_bridge/rest_bridge.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace face {

struct Avatar {
  std::string id, name;
  bool active = false;
};

class Remote {
 public:
  // `name` is the source's, for the log. The client must outlive this object.
  Remote(rb_client *client, std::string name);
  ~Remote();  // cancels what the client waits for, and joins
  Remote(const Remote &) = delete;
  Remote &operator=(const Remote &) = delete;

  // The daemon was found (again): ask for its clock and its faces.
  void Greet();
  void ShowAvatar(const std::string &id);
  void NextAvatar();
  void Express(const std::string &name);  // "" for neutral
  void ToggleMute();
  void Pause(bool on);

  std::vector<Avatar> avatars();
  // What to take from the daemon's clock to get this computer's; false while it is not known.
  bool ClockOffset(int64_t *offset_ns) const;

 private:
  using Job = std::function<void()>;
  void Run();
  void Add(Job job);
  rb_result Ask(const char *operation, const rb_map *arguments, uint32_t timeout_ms,
                rb_map **reply = nullptr);
  void AskClock();
  void AskAvatars();

  rb_client *const client_;
  const std::string name_;
  std::atomic<bool> has_clock_{false}, greeted_{false};
  std::atomic<int64_t> clock_ns_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Avatar> avatars_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace face
