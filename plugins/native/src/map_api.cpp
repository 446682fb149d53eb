// SPDX-License-Identifier: MIT
#include <new>

#include "map.hpp"

using rb::Kind;
using rb::Value;

namespace {

template <typename Written>
void Set(rb_map *map, const char *key, Written value) {
  if (map == nullptr || key == nullptr || map->view != nullptr) return;
  try {
    map->written[key] = std::move(value);
  } catch (const std::exception &) {
    // No memory: the request will say that an argument is missing.
  }
}

}  // namespace

std::string rb_map::Pack() const {
  rb::Writer writer;
  writer.Map(static_cast<uint32_t>(written.size()));
  for (const auto &[key, value] : written) {
    writer.Text(key);
    if (const auto *text = std::get_if<std::string>(&value)) writer.Text(*text);
    if (const auto *integer = std::get_if<int64_t>(&value)) writer.Int(*integer);
    if (const auto *number = std::get_if<double>(&value)) writer.Number(*number);
    if (const auto *truth = std::get_if<bool>(&value)) writer.Bool(*truth);
    if (const auto *list = std::get_if<std::vector<std::string>>(&value)) {
      writer.Array(static_cast<uint32_t>(list->size()));
      for (const std::string &item : *list) writer.Text(item);
    }
  }
  return writer.data();
}

extern "C" {

rb_map *rb_map_new(void) { return new (std::nothrow) rb_map; }
void rb_map_free(rb_map *map) { delete map; }

void rb_map_set_text(rb_map *map, const char *key, const char *value) {
  if (value != nullptr) Set(map, key, rb_map::Written(std::string(value)));
}

void rb_map_set_texts(rb_map *map, const char *key, const char *const *values, size_t count) {
  if (values == nullptr && count > 0) return;
  Set(map, key, rb_map::Written(std::vector<std::string>(values, values + count)));
}

void rb_map_set_int(rb_map *map, const char *key, int64_t value) {
  Set(map, key, rb_map::Written(value));
}

void rb_map_set_number(rb_map *map, const char *key, double value) {
  Set(map, key, rb_map::Written(value));
}

void rb_map_set_bool(rb_map *map, const char *key, int value) {
  Set(map, key, rb_map::Written(value != 0));
}

const char *rb_map_text(const rb_map *map, const char *key, const char *otherwise) {
  if (map == nullptr || key == nullptr) return otherwise;
  const Value *value = map->Find(key);
  if (value == nullptr || value->kind != Kind::kText) return otherwise;
  try {
    return (map->texts[key] = std::string(value->span)).c_str();
  } catch (const std::exception &) {
    return otherwise;
  }
}

int64_t rb_map_int(const rb_map *map, const char *key, int64_t otherwise) {
  const Value *value = map == nullptr || key == nullptr ? nullptr : map->Find(key);
  if (value == nullptr || (value->kind != Kind::kInt && value->kind != Kind::kUint)) {
    return otherwise;
  }
  return value->integer;
}

double rb_map_number(const rb_map *map, const char *key, double otherwise) {
  const Value *value = map == nullptr || key == nullptr ? nullptr : map->Find(key);
  if (value == nullptr) return otherwise;
  if (value->kind == Kind::kNumber) return value->number;
  return static_cast<double>(rb_map_int(map, key, static_cast<int64_t>(0)) != 0 ||
                                     value->kind == Kind::kUint || value->kind == Kind::kInt
                                 ? static_cast<double>(value->integer)
                                 : otherwise);
}

int rb_map_bool(const rb_map *map, const char *key, int otherwise) {
  const Value *value = map == nullptr || key == nullptr ? nullptr : map->Find(key);
  if (value == nullptr || value->kind != Kind::kBool) return otherwise;
  return value->truth ? 1 : 0;
}

const char *rb_map_json(const rb_map *map) {
  if (map == nullptr) return "{}";
  try {
    map->json.clear();
    if (map->view != nullptr) {
      rb::AppendJson(*map->view, &map->json);
    } else {
      const std::string packed = map->Pack();
      rb::Reader reader(packed);
      Value value;
      if (reader.Read(&value)) rb::AppendJson(value, &map->json);
    }
    return map->json.c_str();
  } catch (const std::exception &) {
    return "{}";
  }
}

}  // extern "C"
