// SPDX-License-Identifier: MIT
// The file that `rest-bridge keys new NAME` writes.
#pragma once

#include <string>

namespace RestBridgeCore {

struct Keys {
  std::string server, public_key, secret_key;  // 40 characters of Z85 each
};

// False with one sentence in `error` if one of the three keys is missing or is no key.
bool ParseKeys(const std::string &text, Keys *keys, std::string *error);

}  // namespace RestBridgeCore
