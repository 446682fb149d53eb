// SPDX-License-Identifier: MIT
// A bounded msgpack reader and a writer, as much as the protocol needs. The reader never allocates
// more than the message is long, never recurses deeper than kMaxDepth, and accepts what the
// daemon's own reader accepts: UTF-8 texts, map keys that are texts (or bytes, which are ignored).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rb {

constexpr int kMaxDepth = 32;
constexpr uint32_t kMaxEntries = 1024;
constexpr uint32_t kMaxText = 4096;

enum class Kind { kNil, kBool, kInt, kUint, kNumber, kText, kBytes, kArray, kMap };

// A value; texts, arrays and maps are views of the message.
struct Value {
  Kind kind = Kind::kNil;
  bool truth = false;
  int64_t integer = 0;    // kInt (negative ones), and kUint where it fits
  uint64_t natural = 0;   // kUint
  double number = 0;      // kNumber
  uint32_t count = 0;     // items of an array, pairs of a map
  std::string_view span;  // text, bytes, or the items
};

// Reads one value after the other from a view.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}
  // Reads a value, checking everything inside it. False where it is damaged or over the limits.
  bool Read(Value *value) { return Read(value, 0); }
  bool AtEnd() const { return position_ == data_.size(); }

 private:
  bool Read(Value *value, int depth);
  bool Header(Value *value, uint64_t *length);
  bool Items(Value *value, int depth);
  bool Bytes(uint64_t count, std::string_view *bytes);
  bool Big(int count, uint64_t *value);

  std::string_view data_;
  size_t position_ = 0;
};

// The pairs of a map with text keys; of equal keys the last one counts.
class MapView {
 public:
  // False unless `data` is exactly one map within the limits.
  bool Parse(std::string_view data);
  const Value *Find(std::string_view key) const;
  const std::vector<std::pair<std::string_view, Value>> &pairs() const { return pairs_; }

 private:
  std::vector<std::pair<std::string_view, Value>> pairs_;
};

bool IsUtf8(std::string_view text);

// Appends values to a string.
class Writer {
 public:
  void Map(uint32_t count);
  void Array(uint32_t count);
  void Text(std::string_view text);
  void Int(int64_t value);
  void Number(double value);
  void Bool(bool value);
  const std::string &data() const { return data_; }

 private:
  void Big(uint8_t marker, uint64_t value, int count);
  std::string data_;
};

// A value as JSON, and a map; of the map's equal keys the last one counts.
void AppendJson(const Value &value, std::string *out);
void AppendJson(const MapView &map, std::string *out);

}  // namespace rb
