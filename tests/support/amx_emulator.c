/* AMX on a CPU without it: tile instructions fault, and are carried out here.
 *
 * Preloaded into a process (LD_PRELOAD), it takes SIGILL, decodes the VEX instruction at the fault
 * after the SDM (volume 2, chapters 3 to 5), changes the thread's tiles, and goes on behind it. It
 * also says yes when the process asks Linux for tiles, as the kernel of such a CPU would, or no
 * after amx_refuse(1). What a CPU would refuse ends the process with a word about it. On a CPU with
 * AMX nothing faults, and the CPU itself is tested.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, BYTES = 64, REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
enum { NONE = 0, P66 = 1, PF3 = 2, PF2 = 3 }; /* the prefix that VEX stands for */

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t colsb[16];
  uint8_t rows[16];
} Configuration;

static __thread Configuration configuration;
static __thread uint8_t tiles[TILES][ROWS][BYTES];
static int permitted, refused;
static long counts[5];
static const char *const names[5] = {"ldtilecfg", "tileloadd", "tilestored", "tdp", "tilerelease"};

static void fail(const char *why) {
  fprintf(stderr, "amx emulator: %s\n", why);
  _exit(70);
}

static void need(int condition, const char *why) {
  if (!condition) fail(why);
}

/* The registers of a signal's context in the order in which instructions number them. */
static const int numbered[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15};

typedef struct {
  int r, x, b, vvvv, prefix, opcode, mod, reg, rm, length;
  uint8_t *address;
  int64_t stride;
} Instruction;

static int64_t value(ucontext_t *context, int number) {
  return context->uc_mcontext.gregs[numbered[number]];
}

/* Decode the memory operand that follows ModRM, with its SIB byte and displacement. */
static void operand(Instruction *in, const uint8_t *at, ucontext_t *context) {
  const uint8_t *start = at;
  int64_t base = 0, displacement = 0;
  int base_number = in->rm, relative = 0;
  in->stride = 0;
  if (in->rm == 4) {
    uint8_t sib = *at++;
    int index = (sib >> 3 & 7) | in->x << 3;
    base_number = sib & 7;
    if (index != 4) in->stride = value(context, index) << (sib >> 6);
    if (base_number == 5 && in->mod == 0) {
      int32_t wide;
      memcpy(&wide, at, 4), at += 4;
      displacement = wide, base_number = -1;
    }
  } else if (in->rm == 5 && in->mod == 0) {
    int32_t wide;
    memcpy(&wide, at, 4), at += 4;
    displacement = wide, base_number = -1, relative = 1;
  }
  if (base_number >= 0) base = value(context, base_number | in->b << 3);
  if (in->mod == 1) displacement = (int8_t)*at++;
  if (in->mod == 2) {
    int32_t wide;
    memcpy(&wide, at, 4), at += 4;
    displacement = wide;
  }
  in->length += (int)(at - start);
  if (relative) base = context->uc_mcontext.gregs[REG_RIP] + in->length;
  in->address = (uint8_t *)(base + displacement);
}

static int decode(Instruction *in, ucontext_t *context) {
  const uint8_t *at = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
  if (at[0] != 0xC4 || (at[1] & 0x1F) != 2 || (at[2] & 0x84) != 0) return 0; /* 0F38, W0, L0 */
  in->r = !(at[1] >> 7 & 1), in->x = !(at[1] >> 6 & 1), in->b = !(at[1] >> 5 & 1);
  in->vvvv = ~(at[2] >> 3) & 15, in->prefix = at[2] & 3, in->opcode = at[3];
  in->mod = at[4] >> 6, in->reg = at[4] >> 3 & 7, in->rm = at[4] & 7, in->length = 5;
  if (in->mod != 3) operand(in, at + 5, context);
  return 1;
}

static int rows_of(int tile) { return configuration.rows[tile]; }
static int bytes_of(int tile) { return configuration.colsb[tile]; }

static void configure(const Instruction *in) {
  memcpy(&configuration, in->address, sizeof configuration);
  need(configuration.palette <= 1 && configuration.start_row == 0, "an unknown palette");
  for (int t = 0; t < TILES; t++)
    need(configuration.rows[t] <= ROWS && configuration.colsb[t] <= BYTES, "a tile is too large");
  for (int t = TILES; t < 16; t++)
    need(!configuration.rows[t] && !configuration.colsb[t], "more than eight tiles");
  memset(tiles, 0, sizeof tiles);
}

static void move(const Instruction *in, int loads) {
  need(in->rm == 4, "a tile is moved without an index register");
  need(rows_of(in->reg) && bytes_of(in->reg), "a tile is not configured");
  for (int row = 0; row < rows_of(in->reg); row++) {
    uint8_t *memory = in->address + row * in->stride, *tile = tiles[in->reg][row];
    if (loads) {
      memset(tile, 0, BYTES);
      memcpy(tile, memory, (size_t)bytes_of(in->reg));
    } else {
      memcpy(memory, tile, (size_t)bytes_of(in->reg));
    }
  }
}

static int byte_of(uint8_t byte, int is_signed) { return is_signed ? (int8_t)byte : byte; }

/* sums[m][n] += Σ over k, i: a[m][4k + i] · b[k][4n + i], in 32 bits that wrap around. */
static void multiply_bytes(int sums, int a, int b, int a_signed, int b_signed) {
  for (int m = 0; m < rows_of(sums); m++)
    for (int n = 0; n < bytes_of(sums) / 4; n++) {
      uint32_t total;
      memcpy(&total, &tiles[sums][m][4 * n], 4);
      for (int k = 0; k < bytes_of(a) / 4; k++)
        for (int i = 0; i < 4; i++)
          total += (uint32_t)(byte_of(tiles[a][m][4 * k + i], a_signed) *
                              byte_of(tiles[b][k][4 * n + i], b_signed));
      memcpy(&tiles[sums][m][4 * n], &total, 4);
    }
}

static float half(const uint8_t *two) {
  uint32_t bits = (uint32_t)two[0] << 16 | (uint32_t)two[1] << 24;
  float number;
  if ((bits & 0x7F800000) == 0) bits &= 0x80000000; /* inputs that are denormal count as zero */
  memcpy(&number, &bits, 4);
  return number;
}

/* sums[m][n] += Σ over k: a[m][2k] · b[k][2n], then those of 2k + 1, each Σ in a sum of its own. */
static void multiply_halves(int sums, int a, int b) {
  for (int m = 0; m < rows_of(sums); m++)
    for (int n = 0; n < bytes_of(sums) / 4; n++) {
      float total, even = 0, odd = 0;
      memcpy(&total, &tiles[sums][m][4 * n], 4);
      for (int k = 0; k < bytes_of(a) / 4; k++) {
        even += half(&tiles[a][m][4 * k]) * half(&tiles[b][k][4 * n]);
        odd += half(&tiles[a][m][4 * k + 2]) * half(&tiles[b][k][4 * n + 2]);
      }
      total += even + odd;
      memcpy(&tiles[sums][m][4 * n], &total, 4);
    }
}

static void check_product(int sums, int a, int b) {
  need(sums != a && sums != b && a != b, "an instruction names a tile twice");
  need(a < TILES && b < TILES, "there are eight tiles");
  need(rows_of(sums) == rows_of(a) && bytes_of(sums) == bytes_of(b) && bytes_of(a) == 4 * rows_of(b),
       "the sizes of tiles do not fit each other");
}

static int run(const Instruction *in) {
  int memory = in->mod != 3, sums = in->reg, a = in->rm, b = in->vvvv;
  if (in->opcode == 0x49 && memory && in->prefix == NONE) return counts[0]++, configure(in), 1;
  if (in->opcode == 0x49 && memory && in->prefix == P66)
    return memcpy(in->address, &configuration, sizeof configuration), 1;
  if (in->opcode == 0x49 && in->prefix == NONE)
    return counts[4]++, memset(&configuration, 0, sizeof configuration), 1;
  need(configuration.palette == 1, "tiles are used before they are configured");
  if (in->opcode == 0x49 && in->prefix == PF2) return memset(tiles[sums], 0, sizeof tiles[0]), 1;
  if (in->opcode == 0x4B && memory && in->prefix != NONE) {
    int loads = in->prefix != PF3;
    return counts[loads ? 1 : 2]++, move(in, loads), 1;
  }
  if (memory || (in->opcode != 0x5E && in->opcode != 0x5C)) return 0;
  check_product(sums, a, b), counts[3]++;
  if (in->opcode == 0x5E) {
    int a_signed = in->prefix == PF2 || in->prefix == PF3;
    int b_signed = in->prefix == PF2 || in->prefix == P66;
    return multiply_bytes(sums, a, b, a_signed, b_signed), 1;
  }
  return in->prefix == PF3 ? multiply_halves(sums, a, b), 1 : 0;
}

static void on_fault(int number, siginfo_t *info, void *context) {
  Instruction in = {0};
  (void)number, (void)info;
  if (!decode(&in, context) || !run(&in)) fail("an instruction that it does not know");
  if (!__atomic_load_n(&permitted, __ATOMIC_RELAXED)) fail("tiles before Linux was asked for them");
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += in.length;
}

/* What kernels call; everything but the question for tiles goes on to Linux. */
long syscall(long number, ...) {
  static long (*onwards)(long, ...);
  va_list list;
  long a[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (!onwards) onwards = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  if (number == SYS_arch_prctl && a[0] == REQ_XCOMP_PERM && a[1] == TILE_DATA) {
    if (refused) return -1;
    __atomic_store_n(&permitted, 1, __ATOMIC_RELAXED);
    onwards(number, a[0], a[1]); /* a CPU with AMX is to use its own */
    return 0;
  }
  return onwards(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long amx_refuse(long whether) { return refused = (int)whether; }

/* How often an instruction was carried out, by its name. */
long amx_count(const char *name) {
  for (int i = 0; i < 5; i++)
    if (!strcmp(names[i], name)) return counts[i];
  return -1;
}

__attribute__((constructor)) static void begin(void) {
  struct sigaction action = {0};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, NULL);
}
