/* Answers CPUID for libraries whose CPUID instructions were replaced by int3; nop.
 *
 * Everything that begins with AVX-512 or AMX is said to be missing, AVX2 and FMA stay. Preloaded
 * (LD_PRELOAD) by tests.hold_out; x86-64 Linux only.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* Leaf 7, subleaf 0: AVX512F DQ IFMA PF ER CD BW VL; VBMI VBMI2 VNNI BITALG VPOPCNTDQ;
 * 4VNNIW 4FMAPS VP2INTERSECT FP16, AMX-BF16 AMX-TILE AMX-INT8. Subleaf 1: AVX512_BF16, AVX-VNNI. */
static const unsigned kEbx = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 |
                             1u << 30 | 1u << 31;
static const unsigned kEcx = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
static const unsigned kEdx = 1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
static const unsigned kSecond = 1u << 4 | 1u << 5;

static void on_trap(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned leaf = (unsigned)r[REG_RAX], sub = (unsigned)r[REG_RCX];
  unsigned a, b, c, d;
  __cpuid_count(leaf, sub, a, b, c, d);
  if (leaf == 7 && sub == 0) {
    b &= ~kEbx;
    c &= ~kEcx;
    d &= ~kEdx;
  } else if (leaf == 7 && sub == 1) {
    a &= ~kSecond;
    d &= ~(1u << 19); /* AVX10 */
  }
  r[REG_RAX] = a;
  r[REG_RBX] = b;
  r[REG_RCX] = c;
  r[REG_RDX] = d;
  r[REG_RIP] += 1; /* behind the nop that is left of the instruction */
}

__attribute__((constructor)) static void install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGTRAP, &action, NULL);
}
