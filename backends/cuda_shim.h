// CUDA on one thread of a CPU: enough of it to run the text of the kernels where there is no GPU.
// Every thread of a block is a fiber that runs until it has to wait for others; the blocks follow one another. Between
// two such points any order of the fibers is one that a GPU might choose, so a missing barrier shows as different bits
// under some of the schedules below. What stands between two such points happens as one, so updates lost because an
// addition is not atomic are not seen here; they are in the emulated machine code, and by compute-sanitizer's racecheck. A collective that not all threads reach, or not the same one, ends the process.

#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__

struct Index {
  unsigned x;
};
static Index threadIdx, blockIdx, gridDim;

namespace shim {
enum { MOST_THREADS = 1024, STACK = 64 << 10, SHARED_WORDS = 232448 / 4, GUARD_WORDS = 1024 };
enum Waiting { READY, WARP, BLOCK, DONE };
// Orders of the threads: ascending; descending; shuffled anew after every wait, with random warps held back; and an
// adversary: one warp runs only when no other can, and which lane of a warp is first changes with every wait.
enum Schedule { FORWARD, BACKWARD, SHUFFLED, ADVERSARY };

struct Fiber {
  void *stack_pointer;
  ucontext_t context;
  Waiting waiting;
  unsigned site;   // of the collective where it waits: a number of its own, then its line
  unsigned value;  // it brought there
};

static Fiber fibers[MOST_THREADS];
static unsigned order[MOST_THREADS];
static unsigned current, threads, schedule, dice;
static unsigned gathered[MOST_THREADS];  // what the lanes of each warp brought to the last collective
static char *stacks;
static void (*entry)();

static unsigned roll() {
  dice = dice * 1664525u + 1013904223u;
  return dice >> 8;
}

[[noreturn]] static void fail(const char *what, unsigned site) {
  std::fprintf(stderr, "CUDA on the host: %s (line %u)\n", what, site & 4095u);
  std::fflush(stderr);
  std::abort();
}

#if defined(__x86_64__)
// Registers that a call must preserve, pushed and popped: ten times faster than swapcontext, which asks the kernel.
extern "C" void shim_switch(void **from, void *to);
asm(".text\n.globl shim_switch\n.hidden shim_switch\nshim_switch:\n"
    "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "movq %rsp,(%rdi); movq %rsi,%rsp\n"
    "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret\n");
static void *scheduler;
static void leave() { shim_switch(&fibers[current].stack_pointer, scheduler); }
static void enter() { shim_switch(&scheduler, fibers[current].stack_pointer); }
static void body();
static void prepare(unsigned i) {
  void **top = (void **)(stacks + (i + 1) * (size_t)STACK);
  *--top = nullptr;
  *--top = (void *)body;
  for (int k = 0; k < 6; ++k) *--top = nullptr;
  fibers[i].stack_pointer = top;
}
#else
static ucontext_t scheduler;
static void leave() { swapcontext(&fibers[current].context, &scheduler); }
static void enter() { swapcontext(&scheduler, &fibers[current].context); }
static void body();
static void prepare(unsigned i) {
  getcontext(&fibers[i].context);
  fibers[i].context.uc_stack.ss_sp = stacks + i * (size_t)STACK;
  fibers[i].context.uc_stack.ss_size = STACK;
  fibers[i].context.uc_link = nullptr;
  makecontext(&fibers[i].context, body, 0);
}
#endif

static void body() {
  entry();
  fibers[current].waiting = DONE;
  leave();
  fail("a finished thread was woken", 0);
}

// Wait until all threads of the warp or block have come here.
static void wait(Waiting kind, unsigned site, unsigned value) {
  fibers[current].waiting = kind;
  fibers[current].site = site;
  fibers[current].value = value;
  leave();
}

// Whether all of these threads wait; then they may go on.
static bool release(Waiting kind, unsigned first, unsigned last) {
  for (unsigned i = first; i < last; ++i)
    if (fibers[i].waiting != kind) return false;
  for (unsigned i = first; i < last; ++i) {
    if (fibers[i].site != fibers[first].site) fail("threads of one group wait at different places", fibers[i].site);
    gathered[i] = fibers[i].value;
    fibers[i].waiting = READY;
  }
  return true;
}

static void swap_places(unsigned i, unsigned j) {
  unsigned kept = order[i];
  order[i] = order[j];
  order[j] = kept;
}

static void rearrange() {
  if (schedule == SHUFFLED)
    for (unsigned i = threads - 1; i > 0; --i) swap_places(i, roll() % (i + 1));
  if (schedule == ADVERSARY)
    for (unsigned i = 0; i < threads / 2; ++i) swap_places(i, threads - 1 - i);
}

// Let the threads run that may, except those of the warps held back; whether any did.
static bool pass(unsigned held) {
  bool ran = false;
  for (unsigned at = 0; at < threads; ++at) {
    unsigned i = order[at];
    if (fibers[i].waiting != READY || (held >> (i / 32) & 1u)) continue;
    current = threadIdx.x = i;
    enter();
    ran = true;
  }
  return ran;
}

static void run_block() {
  for (unsigned i = 0; i < threads; ++i) {
    fibers[i].waiting = READY;
    order[i] = schedule == BACKWARD ? threads - 1 - i : i;
    prepare(i);
  }
  unsigned laggard = 1u << blockIdx.x % (threads / 32);
  for (;;) {
    rearrange();
    bool moved = pass(schedule == SHUFFLED ? roll() & roll() : schedule == ADVERSARY ? laggard : 0);
    if (!moved) moved = pass(0);
    for (unsigned first = 0; first < threads; first += 32) moved |= release(WARP, first, first + 32);
    moved |= release(BLOCK, 0, threads);
    if (moved) continue;
    for (unsigned i = 0; i < threads; ++i)
      if (fibers[i].waiting != DONE) fail("threads wait for one that never comes", fibers[i].site);
    return;
  }
}

static const unsigned *lanes_of_warp() { return gathered + current / 32 * 32; }

static unsigned ballot() {
  unsigned word = 0;
  for (unsigned i = 0; i < 32; ++i) word |= (lanes_of_warp()[i] != 0 ? 1u : 0u) << i;
  return word;
}

static int sum() {
  unsigned all = 0;
  for (unsigned i = 0; i < 32; ++i) all += lanes_of_warp()[i];
  return (int)all;
}

static unsigned meet(unsigned site, unsigned value) {
  wait(WARP, site, value);
  return current % 32;
}
}  // namespace shim

// Each place in the text has a number of its own; the threads that meet there must have come to the same one.
#define SHIM_SITE (__COUNTER__ << 12 | __LINE__)
#define __syncwarp() shim::wait(shim::WARP, SHIM_SITE, 0)
#define __syncthreads() shim::wait(shim::BLOCK, SHIM_SITE, 0)
#define __ballot_sync(all, x) (shim::meet(SHIM_SITE, (x) != 0), shim::ballot())
#define __reduce_add_sync(all, x) (shim::meet(SHIM_SITE, (unsigned)(x)), shim::sum())
#define __shfl_sync(all, x, from) (shim::meet(SHIM_SITE, x), shim::lanes_of_warp()[(from) & 31u])
#define __shfl_xor_sync(all, x, by) \
  ((int)shim::lanes_of_warp()[shim::meet(SHIM_SITE, (unsigned)(x)) ^ (unsigned)(by)])

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((std::uint64_t)a * b >> 32); }
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
  return (unsigned)((((std::uint64_t)high << 32 | low) << (by & 31u)) >> 32);
}
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  std::uint64_t bytes = (std::uint64_t)y << 32 | x;
  unsigned word = 0;
  for (int i = 0; i < 4; ++i) word |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7u) & 255u) << 8 * i;
  return word;
}
static inline unsigned __brev(unsigned x) {
  unsigned word = 0;
  for (int i = 0; i < 32; ++i) word |= (x >> i & 1u) << (31 - i);
  return word;
}
// One thread runs at a time, so these are atomic.
static inline unsigned atomicAdd(unsigned *at, unsigned x) {
  unsigned before = *at;
  *at += x;
  return before;
}
static inline unsigned atomicMax(unsigned *at, unsigned x) {
  unsigned before = *at;
  *at = x > before ? x : before;
  return before;
}
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }
static inline unsigned min(unsigned a, int b) { return min(a, (unsigned)b); }

alignas(16) unsigned board[shim::SHARED_WORDS + shim::GUARD_WORDS];

namespace shim {
// Poison: what nobody wrote is not 0, and what lies beyond the memory asked for stays as it was.
static const unsigned POISON = 0xDEADBEEFu;
static void **arguments;

static void launch(unsigned blocks, unsigned block, unsigned words, unsigned plan, unsigned seed, void **own) {
  if (!stacks) stacks = (char *)std::malloc(MOST_THREADS * (std::size_t)STACK);
  if (block > MOST_THREADS || block % 32 || words > SHARED_WORDS) fail("a launch that no GPU would take", 0);
  threads = block;
  schedule = plan;
  dice = seed;
  arguments = own;
  gridDim.x = blocks;
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    for (unsigned i = 0; i < words + GUARD_WORDS; ++i) board[i] = POISON;
    run_block();
    for (unsigned i = words; i < words + GUARD_WORDS; ++i)
      if (board[i] != POISON) fail("a write beyond the shared memory asked for", 0);
  }
}

template <class... Types, std::size_t... I> static void call(void (*kernel)(Types...), std::index_sequence<I...>) {
  kernel(*(Types *)arguments[I]...);
}
template <class... Types> static void call(void (*kernel)(Types...)) {
  call(kernel, std::index_sequence_for<Types...>());
}
}  // namespace shim

#define SHIM_KERNEL(name) \
  extern "C" void shim_##name(unsigned blocks, unsigned block, unsigned words, unsigned plan, unsigned seed, void **own) { \
    shim::entry = [] { shim::call(name); }; \
    shim::launch(blocks, block, words, plan, seed, own); \
  }
