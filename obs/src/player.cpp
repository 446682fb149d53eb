// SPDX-License-Identifier: GPL-2.0-or-later
//
// How picture and voice stay together in OBS. The voice is given ahead of time with timestamps of
// OBS's own clock, which OBS plays exactly then (within 2 s of now it takes them as they are). The
// pictures are given when they are due to an unbuffered source, which shows the newest one at the
// next tick of the canvas; half a tick early, so that on average they are in time. OBS closes gaps
// of less than 70 ms between pieces of voice, so small corrections are made to the samples
// themselves, a thousandth at most, and larger ones as a cut.
#include "player.hpp"

#include <util/platform.h>

#include <algorithm>

namespace face {

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMs = 1'000'000;
constexpr int64_t kPollNs = 5 * kMs;
constexpr size_t kMostQueued = 16;
constexpr size_t kPiece = 1920;           // 40 ms
constexpr size_t kLeast = 480;            // 10 ms
constexpr int64_t kTooLateNs = 15 * kMs;  // OBS mixes what is up to 21 ms old

int64_t Now() { return static_cast<int64_t>(os_gettime_ns()); }

int64_t SamplesToNs(int64_t count) { return count * kSecond / RB_VOICE_RATE_HZ; }

}  // namespace

Player::Player(obs_source_t *source, rb_client *client, const Remote *remote,
               const std::atomic<int64_t> *tick_ns, int64_t delay_ns, bool voice)
    : source_(source),
      client_(client),
      remote_(remote),
      tick_ns_(tick_ns),
      voice_(voice),
      to_obs_clock_ns_(Now() - rb_now_ns()),
      clock_(delay_ns),
      samples_(kPiece),
      stretched_(kPiece + kPiece / 100) {}

Player::~Player() { DropQueue(); }

void Player::DropQueue() {
  for (rb_frame &frame : queue_) rb_frame_release(&frame);
  queue_.clear();
}

void Player::Step() {
  Wait();
  PlayVoice();
  Show();
}

// Until a frame comes, the next one is due, or it is time to look for voice.
void Player::Wait() {
  int64_t wait_ns = kPollNs;
  if (!queue_.empty()) {
    const int64_t due_ns = clock_.ToObs(queue_.front().pts_ns) - HalfTick();
    wait_ns = std::clamp<int64_t>(due_ns - Now(), 0, kPollNs);
  }
  rb_frame frame;
  if (rb_frame_wait(client_, static_cast<uint32_t>(wait_ns / kMs), &frame) == RB_OK) {
    Take(frame);
  } else if (wait_ns > 0 && wait_ns < kMs) {
    os_sleepto_ns(os_gettime_ns() + static_cast<uint64_t>(wait_ns));
  }
}

void Player::Take(const rb_frame &frame) {
  rb_status status;
  rb_client_status(client_, &status);
  if (status.streams != streams_ || frame.epoch < epoch_) {
    if (streams_ != 0) clock_.Reset();
    DropQueue();
  } else if (frame.epoch != epoch_) {
    DropQueue();  // somebody interrupted the speech: what waits is void
  }
  streams_ = status.streams;
  epoch_ = frame.epoch;
  const int64_t arrived_ns = Now();
  int64_t offset_ns = 0;
  const bool known = remote_->ClockOffset(&offset_ns);
  const int64_t published_ns = frame.published_ns - offset_ns + to_obs_clock_ns_;
  // Without the clock exchange the arrival stands for the publishing.
  clock_.Observe(frame.pts_ns, known ? std::min(published_ns, arrived_ns) : arrived_ns, arrived_ns);
  if (frame.captured_ns > 0 && frame.published_ns > frame.captured_ns) {
    const double latency_ms = static_cast<double>(frame.published_ns - frame.captured_ns) / kMs;
    daemon_latency_ms_ += (latency_ms - daemon_latency_ms_) * (daemon_latency_ms_ > 0 ? 0.05 : 1);
  }
  if (!voice_) {  // nothing but the pictures follows the clock
    clock_.Move(clock_.Wanted(std::clamp<int64_t>(frame.pts_ns - last_pts_ns_, 0, kSecond)));
  }
  last_pts_ns_ = frame.pts_ns;
  queue_.push_back(frame);
  if (queue_.size() > kMostQueued) {
    rb_frame_release(&queue_.front());
    queue_.pop_front();
  }
}

void Player::PlayVoice() {
  if (!voice_) return;
  if (!clock_.settled()) {
    rb_voice_skip(client_, 0);
    return;
  }
  while (rb_voice_available(client_) >= kLeast) {
    int64_t pts_ns = -1;
    const size_t count = rb_voice_read(client_, samples_.data(),
                                       std::min(kPiece, rb_voice_available(client_)), &pts_ns);
    if (count < 2 || pts_ns < 0) return;
    PlayPiece(count, pts_ns);
  }
}

void Player::PlayPiece(size_t count, int64_t pts_ns) {
  int64_t begin_ns = clock_.ToObs(pts_ns);
  const int64_t span_ns = SamplesToNs(static_cast<int64_t>(count));
  due_move_ns_ += clock_.Wanted(span_ns);
  const int64_t move = due_move_ns_ * RB_VOICE_RATE_HZ / kSecond;
  const float *samples = samples_.data();
  size_t made = count;
  if (move != 0) {
    made = static_cast<size_t>(static_cast<int64_t>(count) + move);
    Stretch(samples_.data(), count, stretched_.data(), made);
    samples = stretched_.data();
    clock_.Move(SamplesToNs(move));
    due_move_ns_ -= SamplesToNs(move);
  }
  // What is late would make OBS delay all of its sound for the rest of the session.
  const int64_t late_ns = Now() - kTooLateNs - begin_ns;
  if (late_ns > 0) {
    ++late_;
    const int64_t cut = late_ns * RB_VOICE_RATE_HZ / kSecond + 1;
    if (cut >= static_cast<int64_t>(made)) return;
    samples += cut;
    made -= static_cast<size_t>(cut);
    begin_ns += SamplesToNs(cut);
  }
  obs_source_audio audio = {};
  audio.data[0] = reinterpret_cast<const uint8_t *>(samples);
  audio.frames = static_cast<uint32_t>(made);
  audio.speakers = SPEAKERS_MONO;
  audio.format = AUDIO_FORMAT_FLOAT;
  audio.samples_per_sec = RB_VOICE_RATE_HZ;
  audio.timestamp = static_cast<uint64_t>(begin_ns);
  obs_source_output_audio(source_, &audio);
}

void Player::Show() {
  const int64_t until_ns = Now() + HalfTick();
  while (!queue_.empty() && clock_.ToObs(queue_.front().pts_ns) <= until_ns) {
    const bool is_newest = queue_.size() == 1 || clock_.ToObs(queue_[1].pts_ns) > until_ns;
    if (is_newest) Output(queue_.front());
    rb_frame_release(&queue_.front());
    queue_.pop_front();
  }
}

void Player::Output(const rb_frame &frame) {
  obs_source_frame video = {};
  video.width = frame.width;
  video.height = frame.height;
  video.full_range = true;
  video.timestamp = static_cast<uint64_t>(clock_.ToObs(frame.pts_ns));
  video.format = frame.format == RB_BGRA ? VIDEO_FORMAT_BGRA : VIDEO_FORMAT_RGBA;
  video.linesize[0] = frame.stride;
  video.data[0] = const_cast<uint8_t *>(frame.data);  // OBS copies; it only lacks the const
  if (frame.format == RB_JPEG) {
    const size_t stride = size_t{frame.width} * 4;
    decoded_.resize(stride * frame.height);
    if (rb_frame_decode(&frame, decoded_.data(), stride) != RB_OK) return;
    video.linesize[0] = static_cast<uint32_t>(stride);
    video.data[0] = decoded_.data();
  }
  obs_source_output_video(source_, &video);
}

}  // namespace face
