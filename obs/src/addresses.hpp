// SPDX-License-Identifier: GPL-2.0-or-later
// What a person writes into the address field, and the key file. Knows no OBS.
#pragma once

#include <string>
#include <vector>

namespace face {

struct Addresses {
  std::string frames, events, control;
};

constexpr int kDefaultPort = 5570;

// "", "studio", "studio:5570", "tcp://studio:5570" (events and control are the two ports after
// it), or the three addresses with spaces between them. On failure `error` is one sentence.
bool ReadAddresses(const std::string &text, Addresses *addresses, std::string *error);

struct Keys {
  std::string server, public_key, secret_key;
};

// A file that `rest-bridge keys new` made.
bool ReadKeys(const std::string &path, Keys *keys, std::string *error);

// Daemons of this computer that answer within a third of a second: the first port of each. Looks
// at 5570, 5670, ... 5970: the ports that docs/obs.md gives to a second and third daemon.
std::vector<std::string> FindDaemons();

}  // namespace face
