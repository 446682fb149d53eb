// SPDX-License-Identifier: MIT
#include "msgpack.hpp"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace rb {

bool Reader::Bytes(uint64_t count, std::string_view *bytes) {
  if (count > data_.size() - position_) return false;
  *bytes = data_.substr(position_, static_cast<size_t>(count));
  position_ += static_cast<size_t>(count);
  return true;
}

bool Reader::Big(int count, uint64_t *value) {
  std::string_view bytes;
  if (!Bytes(static_cast<uint64_t>(count), &bytes)) return false;
  *value = 0;
  for (const char byte : bytes) *value = *value << 8 | static_cast<uint8_t>(byte);
  return true;
}

// Reads the marker and what belongs to it; `length` is that of texts, bytes, arrays, maps.
bool Reader::Header(Value *value, uint64_t *length) {
  uint64_t marker = 0;
  uint64_t bits = 0;
  if (!Big(1, &marker)) return false;
  const auto natural = [&](uint64_t number) {
    value->kind = Kind::kUint;
    value->natural = number;
    value->integer = number <= INT64_MAX ? static_cast<int64_t>(number) : INT64_MAX;
    return true;
  };
  const auto integer = [&](int64_t number) {
    if (number >= 0) return natural(static_cast<uint64_t>(number));
    value->kind = Kind::kInt;
    value->integer = number;
    return true;
  };
  const auto sized = [&](Kind kind, int count) {
    value->kind = kind;
    return Big(count, length);
  };
  if (marker <= 0x7f) return natural(marker);
  if (marker >= 0xe0) return integer(static_cast<int8_t>(marker));
  if (marker <= 0xbf) {
    value->kind = marker <= 0x8f ? Kind::kMap : marker <= 0x9f ? Kind::kArray : Kind::kText;
    *length = marker & (value->kind == Kind::kText ? 0x1f : 0x0f);
    return true;
  }
  switch (marker) {
    case 0xc0:
      return true;
    case 0xc2:
    case 0xc3:
      value->kind = Kind::kBool;
      value->truth = marker == 0xc3;
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return sized(Kind::kBytes, 1 << (marker - 0xc4));
    case 0xca: {
      if (!Big(4, &bits)) return false;
      const auto word = static_cast<uint32_t>(bits);
      float number;
      std::memcpy(&number, &word, sizeof number);
      value->kind = Kind::kNumber;
      value->number = static_cast<double>(number);
      return true;
    }
    case 0xcb:
      if (!Big(8, &bits)) return false;
      value->kind = Kind::kNumber;
      std::memcpy(&value->number, &bits, sizeof bits);
      return true;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
      return Big(1 << (marker - 0xcc), &bits) && natural(bits);
    case 0xd0:
      return Big(1, &bits) && integer(static_cast<int8_t>(bits));
    case 0xd1:
      return Big(2, &bits) && integer(static_cast<int16_t>(bits));
    case 0xd2:
      return Big(4, &bits) && integer(static_cast<int32_t>(bits));
    case 0xd3:
      return Big(8, &bits) && integer(static_cast<int64_t>(bits));
    case 0xd9:
    case 0xda:
    case 0xdb:
      return sized(Kind::kText, 1 << (marker - 0xd9));
    case 0xdc:
    case 0xdd:
      return sized(Kind::kArray, 2 << (marker - 0xdc));
    case 0xde:
    case 0xdf:
      return sized(Kind::kMap, 2 << (marker - 0xde));
    default:
      return false;  // 0xc1 is nothing, the rest are extension types
  }
}

bool Reader::Items(Value *value, int depth) {
  const size_t begin = position_;
  const bool is_map = value->kind == Kind::kMap;
  for (uint32_t item = 0; item < value->count; ++item) {
    Value inner;
    if (is_map) {
      if (!Read(&inner, depth + 1)) return false;
      if (inner.kind != Kind::kText && inner.kind != Kind::kBytes) return false;
      inner = Value();
    }
    if (!Read(&inner, depth + 1)) return false;
  }
  value->span = data_.substr(begin, position_ - begin);
  return true;
}

bool Reader::Read(Value *value, int depth) {
  uint64_t length = 0;
  *value = Value();
  if (depth > kMaxDepth || !Header(value, &length)) return false;
  switch (value->kind) {
    case Kind::kText:
      return length <= kMaxText && Bytes(length, &value->span) && IsUtf8(value->span);
    case Kind::kBytes:
      return Bytes(length, &value->span);
    case Kind::kArray:
    case Kind::kMap:
      if (length > kMaxEntries) return false;
      value->count = static_cast<uint32_t>(length);
      return Items(value, depth);
    default:
      return true;
  }
}

bool MapView::Parse(std::string_view data) {
  pairs_.clear();
  Reader whole(data);
  Value map;
  if (!whole.Read(&map) || !whole.AtEnd() || map.kind != Kind::kMap) return false;
  pairs_.reserve(map.count);
  Reader items(map.span);
  for (uint32_t item = 0; item < map.count; ++item) {
    Value key;
    Value value;
    if (!items.Read(&key) || !items.Read(&value)) return false;
    if (key.kind == Kind::kText) pairs_.emplace_back(key.span, value);
  }
  return true;
}

const Value *MapView::Find(std::string_view key) const {
  for (auto pair = pairs_.rbegin(); pair != pairs_.rend(); ++pair) {
    if (pair->first == key) return &pair->second;
  }
  return nullptr;
}

bool IsUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<uint8_t>(text[at]);
    const int more = lead < 0x80 ? 0 : lead < 0xc2 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (more < 0 || lead > 0xf4 || at + static_cast<size_t>(more) >= text.size()) return false;
    uint32_t code = more == 0 ? lead : lead & (0x3fu >> more);
    for (int next = 1; next <= more; ++next) {
      const auto byte = static_cast<uint8_t>(text[at + static_cast<size_t>(next)]);
      if ((byte & 0xc0) != 0x80) return false;
      code = code << 6 | (byte & 0x3fu);
    }
    if (more == 2 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) return false;
    if (more == 3 && (code < 0x10000 || code > 0x10ffff)) return false;
    at += static_cast<size_t>(more) + 1;
  }
  return true;
}

void Writer::Big(uint8_t marker, uint64_t value, int count) {
  data_.push_back(static_cast<char>(marker));
  for (int shift = (count - 1) * 8; shift >= 0; shift -= 8) {
    data_.push_back(static_cast<char>(value >> shift & 0xff));
  }
}

void Writer::Map(uint32_t count) {
  if (count < 16) {
    data_.push_back(static_cast<char>(0x80 | count));
  } else {
    Big(0xde, count, 2);
  }
}

void Writer::Array(uint32_t count) {
  if (count < 16) {
    data_.push_back(static_cast<char>(0x90 | count));
  } else {
    Big(0xdc, count, 2);
  }
}

void Writer::Text(std::string_view text) {
  if (text.size() < 32) {
    data_.push_back(static_cast<char>(0xa0 | text.size()));
  } else if (text.size() < 256) {
    Big(0xd9, text.size(), 1);
  } else {
    Big(0xda, text.size(), 2);
  }
  data_.append(text);
}

void Writer::Int(int64_t value) {
  if (value >= 0 && value < 128) {
    data_.push_back(static_cast<char>(value));
  } else if (value >= 0) {
    const auto natural = static_cast<uint64_t>(value);
    const int size = natural <= 0xff ? 0 : natural <= 0xffff ? 1 : natural <= 0xffffffff ? 2 : 3;
    Big(static_cast<uint8_t>(0xcc + size), natural, 1 << size);
  } else if (value >= -32) {
    data_.push_back(static_cast<char>(value));
  } else {
    Big(0xd3, static_cast<uint64_t>(value), 8);
  }
}

void Writer::Number(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  Big(0xcb, bits, 8);
}

void Writer::Bool(bool value) { data_.push_back(static_cast<char>(value ? 0xc3 : 0xc2)); }

namespace {

void AppendText(std::string_view text, std::string *out) {
  out->push_back('"');
  for (const char letter : text) {
    const auto code = static_cast<uint8_t>(letter);
    if (letter == '"' || letter == '\\') {
      out->push_back('\\');
      out->push_back(letter);
    } else if (code < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", code);
      out->append(escape);
    } else {
      out->push_back(letter);
    }
  }
  out->push_back('"');
}

}  // namespace

void AppendJson(const Value &value, std::string *out) {
  char number[40];
  switch (value.kind) {
    case Kind::kNil:
      out->append("null");
      return;
    case Kind::kBool:
      out->append(value.truth ? "true" : "false");
      return;
    case Kind::kInt:
      std::snprintf(number, sizeof number, "%lld", static_cast<long long>(value.integer));
      out->append(number);
      return;
    case Kind::kUint:
      std::snprintf(number, sizeof number, "%llu", static_cast<unsigned long long>(value.natural));
      out->append(number);
      return;
    case Kind::kNumber:
      std::snprintf(number, sizeof number, "%.17g", value.number);
      out->append(std::isfinite(value.number) ? number : "null");
      return;
    case Kind::kText:
      AppendText(value.span, out);
      return;
    case Kind::kBytes:
      out->append("null");
      return;
    case Kind::kArray:
    case Kind::kMap: {
      const bool is_map = value.kind == Kind::kMap;
      Reader items(value.span);
      Value inner;
      bool first = true;
      out->push_back(is_map ? '{' : '[');
      for (uint32_t item = 0; item < value.count; ++item) {
        if (!items.Read(&inner)) break;  // cannot be: it was checked
        const bool hidden = is_map && inner.kind != Kind::kText;
        if (!hidden && !first) out->push_back(',');
        if (is_map) {
          if (!hidden) {
            AppendText(inner.span, out);
            out->push_back(':');
          }
          if (!items.Read(&inner)) break;
        }
        if (hidden) continue;
        AppendJson(inner, out);
        first = false;
      }
      out->push_back(is_map ? '}' : ']');
      return;
    }
  }
}

void AppendJson(const MapView &map, std::string *out) {
  out->push_back('{');
  bool first = true;
  for (const auto &[key, value] : map.pairs()) {
    if (map.Find(key) != &value) continue;  // a later one of this name counts
    if (!first) out->push_back(',');
    AppendText(key, out);
    out->push_back(':');
    AppendJson(value, out);
    first = false;
  }
  out->push_back('}');
}

}  // namespace rb
