// SPDX-License-Identifier: GPL-2.0-or-later
#include "addresses.hpp"

#include <rest_bridge/rest_bridge.h>

#include <fstream>
#include <future>
#include <sstream>

namespace face {

namespace {

constexpr const char *kHow =
    " Write a computer and a port, like 127.0.0.1:5570, or three addresses like "
    "tcp://127.0.0.1:5570 with spaces between them.";
constexpr int kMostPort = 65533;  // two more follow
constexpr int kPortStep = 100;
constexpr int kNumPorts = 5;
constexpr uint32_t kPatienceMs = 300;

std::string Endpoint(const std::string &host, int port) {
  return "tcp://" + host + ":" + std::to_string(port);
}

bool ReadPort(const std::string &text, int *port) {
  if (text.empty() || text.size() > 5) return false;
  if (text.find_first_not_of("0123456789") != std::string::npos) return false;
  *port = std::stoi(text);
  return *port >= 1 && *port <= kMostPort;
}

// The value of `name = "value"` in a line of TOML.
bool ReadLine(const std::string &line, const char *name, std::string *value) {
  std::istringstream words(line);
  std::string word, equals, quoted;
  if (!(words >> word >> equals >> quoted) || word != name || equals != "=") return false;
  if (quoted.size() < 2 || quoted.front() != '"') return false;
  // Keys may hold any printable character but quotes and backslashes.
  const size_t end = quoted.find('"', 1);
  if (end == std::string::npos) return false;
  *value = quoted.substr(1, end - 1);
  return true;
}

bool Answers(int port) {
  rb_options options;
  rb_options_init(&options);
  const std::string control = Endpoint("127.0.0.1", port + 2);
  options.frames = options.events = "";
  options.control = control.c_str();
  rb_client *client = nullptr;
  if (rb_client_open(&options, &client) != RB_OK) return false;
  const bool answered = rb_request(client, "status", nullptr, kPatienceMs, nullptr) == RB_OK;
  rb_client_close(client);
  return answered;
}

}  // namespace

bool ReadAddresses(const std::string &text, Addresses *addresses, std::string *error) {
  std::istringstream words(text);
  std::vector<std::string> parts;
  for (std::string word; words >> word;) parts.push_back(word);
  if (parts.size() == 3) {
    for (const std::string &part : parts) {
      if (part.find("://") == std::string::npos) {
        *error = "\"" + part + "\" is no address." + kHow;
        return false;
      }
    }
    *addresses = {parts[0], parts[1], parts[2]};
    return true;
  }
  if (parts.size() > 1) {
    *error = "\"" + text + "\" is neither one address nor three." + kHow;
    return false;
  }
  std::string host = parts.empty() ? "127.0.0.1" : parts[0];
  if (host.rfind("tcp://", 0) == 0) host = host.substr(6);
  int port = kDefaultPort;
  const size_t colon = host.rfind(':');
  if (colon != std::string::npos && host.back() != ']') {  // [::1] has colons of its own
    if (!ReadPort(host.substr(colon + 1), &port)) {
      *error = "\"" + host.substr(colon + 1) + "\" is no port (1.." + std::to_string(kMostPort) +
               ")." + kHow;
      return false;
    }
    host = host.substr(0, colon);
  }
  if (host.empty() || host.find('/') != std::string::npos) {
    *error = "\"" + text + "\" names no computer." + kHow;
    return false;
  }
  *addresses = {Endpoint(host, port), Endpoint(host, port + 1), Endpoint(host, port + 2)};
  return true;
}

bool ReadKeys(const std::string &path, Keys *keys, std::string *error) {
  std::ifstream file(path);
  if (!file) {
    *error = "The key file " + path + " cannot be read; `rest-bridge keys new` makes one.";
    return false;
  }
  for (std::string line; std::getline(file, line);) {
    ReadLine(line, "server", &keys->server);
    ReadLine(line, "public", &keys->public_key);
    ReadLine(line, "secret", &keys->secret_key);
  }
  if (keys->server.size() == 40 && keys->public_key.size() == 40 && keys->secret_key.size() == 40) {
    return true;
  }
  *error = "The key file " + path +
           " lacks one of server, public and secret (40 characters each); `rest-bridge keys new` "
           "makes a whole one.";
  return false;
}

std::vector<std::string> FindDaemons() {
  std::vector<std::future<bool>> answers;
  for (int index = 0; index < kNumPorts; ++index) {
    answers.push_back(std::async(std::launch::async, Answers, kDefaultPort + index * kPortStep));
  }
  std::vector<std::string> found;
  for (int index = 0; index < kNumPorts; ++index) {
    if (answers[static_cast<size_t>(index)].get()) {
      found.push_back("127.0.0.1:" + std::to_string(kDefaultPort + index * kPortStep));
    }
  }
  return found;
}

}  // namespace face
