/* A plugin of qemu's: how often each translated block runs, as "address instructions count".

   The types stand for those of qemu-plugin.h; the functions are the ones that never changed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

typedef uint64_t Id;
typedef struct qemu_plugin_tb Translated;

extern void qemu_plugin_register_vcpu_tb_trans_cb(Id, void (*)(Id, Translated *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(Translated *, void (*)(unsigned, void *), int,
                                                 void *);
extern void qemu_plugin_register_atexit_cb(Id, void (*)(Id, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const Translated *);
extern uint64_t qemu_plugin_tb_vaddr(const Translated *);

PUBLIC int qemu_plugin_version = VERSION;

typedef struct Block {
  uint64_t address, instructions, count;
  struct Block *next;
} Block;

static Block *blocks;
static const char *path;

static void executed(unsigned cpu, void *block) { ((Block *)block)->count++; }

static void translated(Id id, Translated *found) {
  Block *block = calloc(1, sizeof(Block));
  block->address = qemu_plugin_tb_vaddr(found);
  block->instructions = qemu_plugin_tb_n_insns(found);
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_cb(found, executed, 0, block);
}

static void finish(Id id, void *unused) {
  FILE *file = fopen(path, "w");
  for (Block *block = blocks; file && block; block = block->next)
    fprintf(file, "%llu %llu %llu\n", (unsigned long long)block->address,
            (unsigned long long)block->instructions, (unsigned long long)block->count);
  if (file) fclose(file);
}

PUBLIC int qemu_plugin_install(Id id, const void *about, int number, char **options) {
  for (int i = 0; i < number; i++)
    if (!strncmp(options[i], "out=", 4)) path = strdup(options[i] + 4);
  if (!path) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, finish, 0);
  return 0;
}
