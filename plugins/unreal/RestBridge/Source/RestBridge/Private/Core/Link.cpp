// SPDX-License-Identifier: MIT
#include "Link.h"

namespace RestBridgeCore {

LinkNews Link::Update(bool connected, const char *stream, int64_t epoch) {
  LinkNews news;
  news.came = connected && state_ != LinkState::kLive;
  news.went = !connected && state_ == LinkState::kLive;
  if (news.came) state_ = LinkState::kLive;
  if (news.went) state_ = LinkState::kLost;
  if (connected && stream_ != stream) {
    news.new_stream = true;
    stream_ = stream;
    epoch_ = epoch;
  } else if (connected && epoch > epoch_) {
    news.new_epoch = true;
    epoch_ = epoch;
  }
  return news;
}

}  // namespace RestBridgeCore
