// The phases of a presentation. A block is a brain: thread j keeps the excitement and the counts of pool word j in
// registers while the cycles run. Everything the threads tell each other stands on the board, in shared memory: between
// writing there and reading what another thread wrote there is always a BARRIER. The sizes, the places on the board
// (BOARD_..) and in a brain's row of memory (ROW_..) come from cuda_layout.py.

#define THREADS (32 * WARPS)
#define PAIRS (OUTPUTS * WORDS)
#define PLANES 13  // of a pair of output and word: eight of the weight, four of the trace's magnitude, its sign

#if WARPS == 1
#define BARRIER() __syncwarp()
#else
#define BARRIER() __syncthreads()
#endif

// Items that the threads share out; the loop is not unrolled, as it is seldom walked more than once or twice.
#define FOR_EACH(i, size) \
  _Pragma("unroll 1") for (u32 i = threadIdx.x; i < (size); i += THREADS)

// Hyperparameters of a pool word's cluster, read once a presentation.
struct Pool {
  u32 summing, gain, noise, shift, chance, base, threshold, slots;
};

INLINE const s32 *param_row(const s32 *params, u32 word) { return params + word % CLUSTERS * PARAM_COUNT; }

// equations.anneal: start h // (h + t), for rates of 31 bits.
INLINE u32 anneal(u32 start, u32 half_age, u32 age) {
  return half_age == 0 ? start : (u32)((u64)start * half_age / ((u64)half_age + age));
}

// The same for base rates: 4095 2**20 still fits 32 bits, and a sum that does not is larger than any product.
INLINE u32 anneal_short(u32 start, u32 half_age, u32 age) {
  u32 sum = half_age + age;
  if (half_age == 0) return start;
  return sum < age ? 0u : start * half_age / sum;
}

// wiring.wire for one pool word: its sources go to the board, and how many they are. A partial Fisher-Yates shuffle
// touches few places, so only those that it touched are remembered.
INLINE void wire(u32 word, u32 generation, const Clock &who, u32 *board) {
  const Clock clock = {generation, 0, who.seed, who.brain, 0};
  u32 r[4], place[SLOTS], value[SLOTS];
  draw(word, 0, 0, STREAM_WIRING, clock, r);
  board[BOARD_SLOTS + word] = SLOTS_MIN + scaled(r[0], SLOTS - SLOTS_MIN + 1);
#pragma unroll
  for (u32 slot = 0; slot < SLOTS; ++slot) {
    draw(word, 0, 1 + slot, STREAM_WIRING, clock, r);
    u32 other = slot + scaled(r[0], SENSORY - slot), source = other, here = slot;
#pragma unroll
    for (u32 i = 0; i < slot; ++i) {
      if (place[i] == other) source = value[i];
      if (place[i] == slot) here = value[i];
    }
    place[slot] = other;
    value[slot] = here;
    u32 turn = scaled(r[1], 32), x = scaled(r[2], 32);
    // permuting by x is permuting the mirrored word by ~x, and one of both swaps at most once within a byte
    u32 mirrored = __popc(x & 7u) > 1;
    if (mirrored) {
      turn = 32 - turn & 31u;
      x = ~x & 31u;
    }
    u32 address = source + mirrored * CYCLES * SENSORY;
    board[BOARD_WIRES + slot * POOL + word] = address << 10 | (x >> 3) << 8 | (x & 7u) << 5 | turn;
  }
}

// The word of a source as one slot sees it: rotated, then lanes permuted by XOR (wiring.source_lane). Swapping lanes
// at a distance is choosing lane by lane between two rotations.
INLINE u32 arriving(const u32 *board, u32 cycle, u32 packed_wire) {
  u32 spikes = board[BOARD_SPIKES + cycle * SENSORY + (packed_wire >> 10)];
  u32 turn = packed_wire & 31u, swap = packed_wire >> 5 & 7u;  // 0, 1, 2 or 4
  u32 low = swap == 1 ? 0x55555555u : swap == 2 ? 0x33333333u : 0x0F0F0F0Fu;
  spikes = (rotated(spikes, turn - swap) & low) | (rotated(spikes, turn + swap) & ~low);
  return __byte_perm(spikes, 0, 0x3210u ^ 0x1111u * (packed_wire >> 8 & 3u));
}

// equations.sensory_spikes of all cycles at once, as they depend on no pool spike: a thread for each word and cycle.
// Every word is also written mirrored, see wire.
INLINE void sense(const u8 *intensity, const s32 *params, const Clock &clock, u32 *board) {
  u32 thread = threadIdx.x, lane = thread & 31u;
#pragma unroll 1
  for (u32 word = thread / 32; word < SENSORY; word += WARPS) {
    u32 planes[4];
    packed(intensity + 32 * word, lane, planes);
#pragma unroll
    for (u32 i = 0; i < 4; ++i)
      if (lane == i) board[BOARD_PLANES + i * SENSORY + word] = planes[i];
  }
  BARRIER();
  FOR_EACH(at, CYCLES * SENSORY) {
    u32 cycle = at / SENSORY, word = at % SENSORY, r[4], planes[4], spikes;
#pragma unroll
    for (u32 i = 0; i < 4; ++i) planes[i] = board[BOARD_PLANES + i * SENSORY + word];
    if (params[PARAM_SENSORY] == 0) {
      draw(word, 0, 0, STREAM_PHASE + clock.stream, clock, r);
      u32 multiplier = 2 * (r[0] & 3u) + 1, offset = r[1] & 7u;
      u32 threshold = 2 * (multiplier * cycle + offset & 7u) + 1;
      spikes = ~below_number(planes, threshold, 0, 0);
    } else {
      draw(word, cycle, 0, STREAM_SENSE + clock.stream, clock, r);
      spikes = below4(r, planes, 0);
    }
    board[BOARD_SPIKES + at] = spikes;
    board[BOARD_SPIKES + CYCLES * SENSORY + at] = __brev(spikes);
  }
  BARRIER();
}

INLINE void write_counts(u32 *board, u32 word, const u32 *n) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) board[BOARD_COUNTS + i * WORDS + word] = n[i];
}

INLINE void count_sensory(u32 *board) {
  FOR_EACH(word, SENSORY) {
    u32 n[4] = {0, 0, 0, 0};
#pragma unroll
    for (u32 cycle = 0; cycle < CYCLES; ++cycle) increment(n, board[BOARD_SPIKES + cycle * SENSORY + word]);
    write_counts(board, word, n);
  }
}

INLINE Pool pool_of(const s32 *params, u32 word, const Clock &clock, const u32 *board) {
  const s32 *own = param_row(params, SENSORY + word);
  Pool pool;
  pool.summing = own[PARAM_DRIVE];
  pool.gain = own[PARAM_GAIN];
  pool.noise = clock.calm ? 0 : own[PARAM_NOISE];
  pool.shift = own[PARAM_DECAY_SHIFT];
  pool.chance = own[PARAM_DECAY_CHANCE];
  // base rate belongs to training alone
  pool.base = clock.stream ? 0 : anneal_short(own[PARAM_BASE_RATE], own[PARAM_BASE_AGE], clock.now);
  pool.slots = board[BOARD_SLOTS + word];
  pool.threshold = THRESHOLD + THRESHOLD_SLOPE * (pool.slots - 1);
  return pool;
}

// equations.drive, coincidence: the lanes where all sources fired together, of all cycles. Each thread reads and writes
// its own column of the board.
INLINE void coincidences(u32 word, u32 slots, u32 *board) {
  u32 together[CYCLES];
#pragma unroll
  for (u32 cycle = 0; cycle < CYCLES; ++cycle) together[cycle] = ALL;
#pragma unroll 1
  for (u32 slot = 0; slot < slots; ++slot) {
    u32 packed_wire = board[BOARD_WIRES + slot * POOL + word];
#pragma unroll
    for (u32 cycle = 0; cycle < CYCLES; ++cycle) together[cycle] &= arriving(board, cycle, packed_wire);
  }
#pragma unroll
  for (u32 cycle = 0; cycle < CYCLES; ++cycle) board[BOARD_DRIVE + cycle * POOL + word] = together[cycle];
}

// equations.drive of one cycle: four planes.
INLINE void drive(u32 word, u32 cycle, const Pool &pool, const u32 *board, u32 *current) {
  if (!pool.summing) {
    u32 together = board[BOARD_DRIVE + cycle * POOL + word];
#pragma unroll
    for (u32 i = 0; i < 4; ++i) current[i] = together & digit(pool.gain, i);
    return;
  }
#pragma unroll
  for (u32 i = 0; i < 4; ++i) current[i] = 0;
#pragma unroll 1
  for (u32 slot = 0; slot < pool.slots; ++slot)
    increment(current, arriving(board, cycle, board[BOARD_WIRES + slot * POOL + word]));
}

// Lanes with x + noise >= threshold.
INLINE u32 fires(const u32 *x, const u32 *noise, u32 threshold) {
  u32 carry = 0, lt = 0;
#pragma unroll
  for (u32 i = 0; i < 4; ++i) {
    lt = below(x[i] ^ noise[i] ^ carry, digit(threshold, i), lt);
    carry = majority(x[i], noise[i], carry);
  }
  return ~below(carry, digit(threshold, 4), lt);
}

// Lanes that fire by base rate, a chance of 4096: planes 4 to 15. Only in training.
INLINE u32 spontaneous(const Planes &planes, u32 base, const Clock &clock) {
  u32 lt = 0;
#pragma unroll
  for (u32 number = 1; number <= 3; ++number) {
    u32 r[4];
    take(planes, number, clock, r);
    lt = below_number(r, base, 4 * number - 4, lt);
  }
  return lt;
}

// equations.pool_cycle: excitement changed, spikes returned. What cannot matter is not looked at.
INLINE u32 pool_cycle(u32 *x, u32 word, u32 cycle, const Pool &pool, const Planes &planes, const Clock &clock,
                      const u32 *board) {
  u32 current[4], noise[4] = {0, 0, 0, 0};
  drive(word, cycle, pool, board, current);
  add_saturating(x, current);
  if (pool.noise) {
    take(planes, 0, clock, noise);
  }
#pragma unroll
  for (u32 i = 0; i < 4; ++i) noise[i] &= mask(pool.noise > i);
  u32 fired = fires(x, noise, pool.threshold);
  if (pool.base) {
    fired |= spontaneous(planes, pool.base, clock);
  }
#pragma unroll
  for (u32 i = 0; i < 4; ++i) x[i] &= ~fired;
  if (pool.chance && (x[0] | x[1] | x[2] | x[3])) {
    u32 r[4], lanes = wins(planes, 4, pool.chance, clock);
    take(planes, 6, clock, r);
    lose(x, r, pool.shift, lanes);
  }
  return fired;
}

// The cycles of a pool word whose excitement is 0 and stays so: a coincidence fires at once and there is no noise.
INLINE void cycles_quiet(u32 *n, u32 word, const Pool &pool, Planes &planes, const Clock &clock, const u32 *board) {
  if (!pool.base) {
#pragma unroll
    for (u32 cycle = 0; cycle < CYCLES; ++cycle) increment(n, board[BOARD_DRIVE + cycle * POOL + word]);
    return;
  }
  prepare(planes, 1, 3, clock);
#pragma unroll 1
  for (u32 cycle = 0; cycle < CYCLES; ++cycle) {
    increment(n, board[BOARD_DRIVE + cycle * POOL + word] | spontaneous(planes, pool.base, clock));
    turn_on(planes);
  }
}

INLINE void cycles_full(u32 *n, u32 *x, u32 word, const Pool &pool, Planes &planes, const Clock &clock,
                        const u32 *board) {
  prepare(planes, 0, 6, clock);
#pragma unroll 1
  for (u32 cycle = 0; cycle < CYCLES; ++cycle) {
    increment(n, pool_cycle(x, word, cycle, pool, planes, clock, board));
    turn_on(planes);
  }
}

// The cycles of one observation: excitement changed, counts of all words on the board.
INLINE void present(const u8 *intensity, u32 *x, const s32 *params, const Clock &clock, u32 *board) {
  u32 word = threadIdx.x;
  sense(intensity, params, clock, board);
  count_sensory(board);
  if (word < POOL) {
    u32 n[4] = {0, 0, 0, 0};
    Pool pool = pool_of(params, word, clock, board);
    Planes planes = {word, STREAM_POOL + clock.stream, 0};
    if (!pool.summing) coincidences(word, pool.slots, board);
    bool still = !(pool.summing | pool.noise | x[0] | x[1] | x[2] | x[3]) && pool.gain >= pool.threshold;
    if (still)
      cycles_quiet(n, word, pool, planes, clock, board);
    else
      cycles_full(n, x, word, pool, planes, clock, board);
    write_counts(board, SENSORY + word, n);
  }
}
