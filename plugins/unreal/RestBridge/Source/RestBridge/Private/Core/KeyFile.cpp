// SPDX-License-Identifier: MIT
#include "KeyFile.h"

#include <sstream>

namespace RestBridgeCore {

namespace {

constexpr size_t kKeyLength = 40;

std::string Trim(const std::string &text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// TOML strings: '...' as they stand, "..." with their escapes. Z85 has no quotes and no backslash.
std::string Unquote(const std::string &text) {
  if (text.size() < 2 || (text[0] != '"' && text[0] != '\'')) return "";
  const size_t end = text.find(text[0], 1);
  return end == std::string::npos ? "" : text.substr(1, end - 1);
}

}  // namespace

bool ParseKeys(const std::string &text, Keys *keys, std::string *error) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos || Trim(line)[0] == '#') continue;
    const std::string name = Trim(line.substr(0, equals));
    const std::string value = Unquote(Trim(line.substr(equals + 1)));
    if (name == "server") keys->server = value;
    if (name == "public") keys->public_key = value;
    if (name == "secret") keys->secret_key = value;
  }
  for (const std::string *key : {&keys->server, &keys->public_key, &keys->secret_key}) {
    if (key->size() != kKeyLength) {
      *error =
          "The key file must hold server, public and secret, 40 characters each: the file "
          "that \"rest-bridge keys new NAME\" writes.";
      return false;
    }
  }
  return true;
}

}  // namespace RestBridgeCore
