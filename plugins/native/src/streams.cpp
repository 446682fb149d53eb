// SPDX-License-Identifier: MIT
#include "streams.hpp"

#include <algorithm>

namespace rb {

namespace {

constexpr std::chrono::milliseconds kGap(250);
constexpr std::chrono::milliseconds kCatchUp(300);

}  // namespace

void History::Put(PacketPtr packet, bool fresh) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    packets_.push_back(std::move(packet));
    if (packets_.size() > capacity_) packets_.pop_front();
    fresh_ = fresh_ || fresh;
    if (fresh) {
      put_ = std::chrono::steady_clock::now();
      waits_ = false;
    }
  }
  changed_.notify_all();
}

void History::Refresh() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    fresh_ = !packets_.empty();
    put_ = std::chrono::steady_clock::now();
    waits_ = false;
  }
  changed_.notify_all();
}

// Whether what is there lay here while the program slept, so that a newer one is worth waiting for.
bool History::Waits() {
  const auto now = std::chrono::steady_clock::now();
  if (!fresh_ || now - put_ < kGap) return false;
  if (!waits_) asked_ = now;
  waits_ = true;
  return now - asked_ < kCatchUp;
}

void History::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  // The picture on show stays until there is a newer one.
  while (packets_.size() > 1) packets_.pop_front();
}

PacketPtr History::Latest(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (timeout.count() > 0) {
    changed_.wait_for(lock, timeout, [this] { return fresh_ || closed_; });
    if (Waits()) {
      changed_.wait_for(lock, std::min(timeout, kCatchUp), [this] { return !waits_ || closed_; });
    }
  } else if (Waits()) {
    return nullptr;
  }
  if (!fresh_) return nullptr;
  fresh_ = false;
  return packets_.back();
}

PacketPtr History::At(int64_t media_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (packets_.empty()) return nullptr;
  for (auto packet = packets_.rbegin(); packet != packets_.rend(); ++packet) {
    if ((*packet)->message.pts_ns <= media_ns) return *packet;
  }
  return packets_.front();
}

void History::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

void VoiceRing::Put(std::string_view payload, int64_t sample_index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t count = payload.size() / sizeof(float);
  piece_.resize(count);
  CopyFloats(payload, 0, count, piece_.data());
  if (next_index_ >= 0 && sample_index != next_index_) {
    const int64_t gap = sample_index - next_index_;
    if (gap > 0 && gap <= RB_VOICE_RATE_HZ) {  // messages were lost: silence in their place
      const std::vector<float> silence(static_cast<size_t>(gap), 0.0f);
      Append(silence.data(), silence.size());
    } else {
      size_ = 0;
    }
  }
  Append(piece_.data(), count);
  next_index_ = sample_index + static_cast<int64_t>(count);
}

void VoiceRing::Append(const float *samples, size_t count) {
  const size_t capacity = data_.size();
  if (count > capacity) {
    lost_ += count - capacity;
    samples += count - capacity;
    count = capacity;
  }
  if (size_ + count > capacity) {
    const size_t surplus = size_ + count - capacity;
    begin_ = (begin_ + surplus) % capacity;
    size_ -= surplus;
    lost_ += surplus;
  }
  const size_t end = (begin_ + size_) % capacity;
  const size_t head = std::min(count, capacity - end);
  std::copy_n(samples, head, data_.begin() + static_cast<std::ptrdiff_t>(end));
  std::copy_n(samples + head, count - head, data_.begin());
  size_ += count;
}

void VoiceRing::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_ = 0;
  next_index_ = -1;
}

size_t VoiceRing::Read(float *samples, size_t count, int64_t *pts_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t taken = std::min(count, size_);
  if (pts_ns != nullptr) {
    *pts_ns = -1;
    if (taken > 0) {
      const int64_t index = next_index_ - static_cast<int64_t>(size_);
      // In two steps: the product of a day's index and 1e9 would not fit.
      *pts_ns = index / RB_VOICE_RATE_HZ * 1000000000 +
                index % RB_VOICE_RATE_HZ * 1000000000 / RB_VOICE_RATE_HZ;
    }
  }
  const size_t head = std::min(taken, data_.size() - begin_);
  std::copy_n(data_.begin() + static_cast<std::ptrdiff_t>(begin_), head, samples);
  std::copy_n(data_.begin(), taken - head, samples + head);
  std::fill_n(samples + taken, count - taken, 0.0f);
  begin_ = (begin_ + taken) % data_.size();
  size_ -= taken;
  return taken;
}

size_t VoiceRing::available() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return size_;
}

void VoiceRing::Skip(size_t keep) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (size_ <= keep) return;
  begin_ = (begin_ + size_ - keep) % data_.size();
  size_ = keep;
}

uint64_t VoiceRing::lost() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lost_;
}

void EventQueue::Put(PacketPtr packet) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    packets_.push_back(std::move(packet));
    if (packets_.size() > kCapacity) {
      packets_.pop_front();
      ++lost_;
    }
  }
  changed_.notify_all();
}

PacketPtr EventQueue::Next(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (timeout.count() > 0) {
    changed_.wait_for(lock, timeout, [this] { return !packets_.empty() || closed_; });
  }
  if (packets_.empty()) return nullptr;
  PacketPtr packet = std::move(packets_.front());
  packets_.pop_front();
  return packet;
}

void EventQueue::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

uint64_t EventQueue::lost() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lost_;
}

}  // namespace rb
