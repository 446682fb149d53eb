/* SPDX-License-Identifier: MIT
 *
 * The golden messages by a C program through the C interface.
 *
 *     rb-golden FOLDER            every message is decoded, every cut of one refused
 *     rb-golden FOLDER --print    also: name, topic, header as JSON, body as JSON, payload in hex
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rest_bridge/rest_bridge.h"

static unsigned char data[1 << 16];

static size_t read_file(const char *folder, const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return 0;
  const size_t size = fread(data, 1, sizeof data, file);
  fclose(file);
  return size;
}

static void print(const char *name, const rb_message *message) {
  printf("%.*s\t%s\t%s\t%s\t", (int)(strlen(name) - 4), name, message->topic,
         rb_map_json(message->header), message->body == NULL ? "" : rb_map_json(message->body));
  for (size_t at = 0; at < message->size; ++at) printf("%02x", message->payload[at]);
  puts("");
}

/* Cut anywhere a message is refused, and says why; in memory of exactly its size, so that a
 * sanitizer sees a byte that is read beyond it. */
static int refuses_cuts(size_t size) {
  for (size_t cut = 0; cut < size; ++cut) {
    rb_message message;
    unsigned char *copy = malloc(cut == 0 ? 1 : cut);
    memcpy(copy, data, cut);
    const rb_result result = rb_message_decode(copy, cut, &message);
    free(copy);
    if (result != RB_PROTOCOL || rb_last_error()[0] == '\0') {
      fprintf(stderr, "a cut of %zu bytes was taken\n", cut);
      return 0;
    }
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  DIR *folder = opendir(argv[1]);
  int messages = 0;
  if (folder == NULL) return 2;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    const char *name = entry->d_name;
    rb_message message;
    if (strlen(name) < 5 || strcmp(name + strlen(name) - 4, ".bin") != 0) continue;
    const size_t size = read_file(argv[1], name);
    if (rb_message_decode(data, size, &message) != RB_OK) {
      fprintf(stderr, "%s: %s\n", name, rb_last_error());
      return 1;
    }
    if (argc > 2) print(name, &message);
    rb_message_release(&message);
    if (!refuses_cuts(size)) return 1;
    ++messages;
  }
  closedir(folder);
  fprintf(stderr, "%d messages\n", messages);
  return messages > 0 ? 0 : 1;
}
