// SPDX-License-Identifier: MIT
// A thread that does one thing after the other, so that nobody else waits for the network.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace RestBridgeCore {

class Worker {
 public:
  using Job = std::function<void()>;

  explicit Worker(size_t capacity) : capacity_(capacity), thread_([this] { Run(); }) {}
  ~Worker() { Stop(); }
  Worker(const Worker &) = delete;
  Worker &operator=(const Worker &) = delete;

  // False if too much waits already or it was stopped.
  bool Post(Job job);
  // Forgets what waits, and joins the thread after the job at hand.
  void Stop();

 private:
  void Run();

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace RestBridgeCore
