// The phases of a presentation. A block is a brain: thread j keeps the excitement and the counts of pool word j in
// registers while the cycles run. Everything the threads tell each other stands on the board, in shared memory: between
// writing there and reading what another thread wrote there is always a BARRIER. The sizes, the places on the board
// (BOARD_..) and in a brain's row of memory (ROW_..) come from cuda_layout.py.

#define THREADS (32 * WARPS)
#define PAIRS (OUTPUTS * WORDS)
// Planes of a pair of output and word: four of the weight's fraction, eight of the weight, four of the trace's
// magnitude, its sign. Fraction and weight are one number; readouts look at the weight alone.
#define PLANES 17
#define WEIGHT_PLANE FRACTION_BITS
#define SIGN_PLANE (FRACTION_BITS + 7)
#define TRACE_PLANE (FRACTION_BITS + 8)

#if WARPS == 1
#define BARRIER() __syncwarp()
#else
#define BARRIER() __syncthreads()
#endif

// Words before the pool's: sensory words, whose intensities are shown, then echo words, whose intensities stay on the
// board from one presentation to the next.
#define INPUTS (SENSORY + ECHOES)
// Words whose state outlives a presentation, in the order of the canonical array `excitement`.
#define CARRIED (POOL + ECHOES + LEARNING)

// Items that the threads share out; the loop is not unrolled, as it is seldom walked more than once or twice.
#define FOR_EACH(i, size) \
  _Pragma("unroll 1") for (u32 i = threadIdx.x; i < (size); i += THREADS)

// Words that the warps share out, a lane for each neuron.
#define FOR_EACH_WORD(word, size) \
  _Pragma("unroll 1") for (u32 word = threadIdx.x / 32; word < (size); word += WARPS)

INLINE void copy(u32 *to, const u32 *from, u32 length) {
#pragma unroll 8
  for (u32 i = threadIdx.x; i < length; i += THREADS) to[i] = from[i];
}

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

// A source that is rotated, then permuted by x, as the board holds it. Permuting by x is permuting the mirrored word by
// ~x, and one of both swaps at most once within a byte.
INLINE u32 wire_of(u32 source, u32 turn, u32 x) {
  u32 mirrored = __popc(x & 7u) > 1;
  if (mirrored) {
    turn = 32 - turn & 31u;
    x = ~x & 31u;
  }
  u32 address = source + mirrored * CYCLES * INPUTS;
  return address << 10 | (x >> 3) << 8 | (x & 7u) << 5 | turn;
}

// wiring.wire for one pool word: its sources go to the board, and how many they are. A partial Fisher-Yates shuffle
// touches few places, so only those that it touched are remembered. Where the sensory words are an image, the sources
// are neighbours instead (wiring.neighbour).
INLINE void wire(u32 word, u32 generation, const Clock &who, u32 *board) {
  const Clock clock = {generation & 0xFFFFu, 0, who.seed, who.brain, 0};
  u32 r[4], name = word ^ generation >> 16;
  draw(name, 0, 0, STREAM_WIRING, clock, r);
  board[BOARD_SLOTS + word] = SLOTS_MIN + scaled(r[0], SLOTS - SLOTS_MIN + 1);
#if TILES
  draw(name, 0, 1, STREAM_WIRING, clock, r);
  u32 first = scaled(r[0], SENSORY);
  board[BOARD_WIRES + word] = wire_of(first, 0, 0);
#pragma unroll
  for (u32 slot = 1; slot < SLOTS; ++slot) {
    draw(name, 0, 1 + slot, STREAM_WIRING, clock, r);
    u32 source = scaled(r[0], (INPUTS - ECHO_POOL) / TILES) * TILES + first % TILES;
    u32 turn = (scaled(r[1], 3) - 1) * TILE_ROW + scaled(r[2], 3) - 1 & 31u;
    board[BOARD_WIRES + slot * POOL + word] = wire_of(source, turn, 0);
  }
#else
  u32 place[SLOTS], value[SLOTS];
#pragma unroll
  for (u32 slot = 0; slot < SLOTS; ++slot) {
    draw(name, 0, 1 + slot, STREAM_WIRING, clock, r);
    u32 other = slot + scaled(r[0], INPUTS - slot), source = other, here = slot;
#pragma unroll
    for (u32 i = 0; i < slot; ++i) {
      if (place[i] == other) source = value[i];
      if (place[i] == slot) here = value[i];
    }
    place[slot] = other;
    value[slot] = here;
    board[BOARD_WIRES + slot * POOL + word] = wire_of(source, scaled(r[1], 32), scaled(r[2], 32));
  }
#endif
}

// The word of a source as one slot sees it: rotated, then lanes permuted by XOR (wiring.source_lane). Swapping lanes
// at a distance is choosing lane by lane between two rotations.
INLINE u32 arriving(const u32 *board, u32 cycle, u32 packed_wire) {
  u32 spikes = board[BOARD_SPIKES + cycle * INPUTS + (packed_wire >> 10)];
  u32 turn = packed_wire & 31u, swap = packed_wire >> 5 & 7u;  // 0, 1, 2 or 4
  u32 low = swap == 1 ? 0x55555555u : swap == 2 ? 0x33333333u : 0x0F0F0F0Fu;
  spikes = (rotated(spikes, turn - swap) & low) | (rotated(spikes, turn + swap) & ~low);
  return __byte_perm(spikes, 0, 0x3210u ^ 0x1111u * (packed_wire >> 8 & 3u));
}

// equations.sensory_spikes of all cycles at once, as they depend on no pool spike: a thread for each word and cycle.
// Every word is also written mirrored, see wire.
INLINE void sense(const u8 *intensity, const s32 *params, const Clock &clock, u32 *board) {
  u32 lane = threadIdx.x & 31u;
  FOR_EACH_WORD(word, SENSORY) {
    u32 planes[4];
    packed(intensity[32 * word + lane], planes);
#pragma unroll
    for (u32 i = 0; i < 4; ++i)
      if (lane == i) board[BOARD_PLANES + i * INPUTS + word] = planes[i];
  }
  BARRIER();
  FOR_EACH(at, CYCLES * INPUTS) {
    u32 cycle = at / INPUTS, word = at % INPUTS, r[4], planes[4], spikes;
#pragma unroll
    for (u32 i = 0; i < 4; ++i) planes[i] = board[BOARD_PLANES + i * INPUTS + word];
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
    board[BOARD_SPIKES + CYCLES * INPUTS + at] = __brev(spikes);
  }
  BARRIER();
}

INLINE s32 spikes_of(const u32 *n) {
  return __popc(n[0]) + (__popc(n[1]) << 1) + (__popc(n[2]) << 2) + (__popc(n[3]) << 3);
}

// Counts of a word go to the board as the readouts see them (equations.seen; kind 1: inputs, 2: pool, 4: learning words)
// and, where others than the readouts look, as they are. Returns the word's spikes.
INLINE s32 write_counts(u32 *board, u32 word, const u32 *n, u32 kind, const s32 *params) {
  u32 seen = mask(params[PARAM_READS] & kind);
#pragma unroll
  for (u32 i = 0; i < 4; ++i) {
    board[BOARD_COUNTS + i * WORDS + word] = n[i] & seen;
#if ECHOES + LEARNING
    board[BOARD_FIRED + i * WORDS + word] = n[i];
#endif
  }
  return spikes_of(n);
}

INLINE s32 count_inputs(const s32 *params, u32 *board) {
  s32 spikes = 0;
  FOR_EACH(word, INPUTS) {
    u32 n[4] = {0, 0, 0, 0};
#pragma unroll
    for (u32 cycle = 0; cycle < CYCLES; ++cycle) increment(n, board[BOARD_SPIKES + cycle * INPUTS + word]);
    spikes += write_counts(board, word, n, 1, params);
  }
  return spikes;
}

INLINE Pool pool_of(const s32 *params, u32 word, const Clock &clock, const u32 *board) {
  const s32 *own = param_row(params, INPUTS + word);
  Pool pool;
  pool.summing = own[PARAM_DRIVE];
  pool.gain = own[PARAM_GAIN];
  pool.noise = clock.calm ? 0 : own[PARAM_NOISE];
  pool.shift = own[PARAM_DECAY_SHIFT];
  pool.chance = own[PARAM_DECAY_CHANCE];
  // base rate belongs to training alone
  pool.base = clock.stream ? 0 : anneal_short(own[PARAM_BASE_RATE], own[PARAM_BASE_AGE], clock.now);
  pool.slots = board[BOARD_SLOTS + word];
  pool.threshold = own[PARAM_THRESHOLD] + own[PARAM_THRESHOLD_SLOPE] * (pool.slots - 1);
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

// The cycles of one observation: excitement changed, counts of all words but the learning ones on the board. Returns the
// spikes that this thread counted.
INLINE s32 present(const u8 *intensity, u32 *x, const s32 *params, const Clock &clock, u32 *board) {
  u32 word = threadIdx.x;
  sense(intensity, params, clock, board);
  s32 spikes = count_inputs(params, board);
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
    spikes += write_counts(board, INPUTS + word, n, 2, params);
  }
  return spikes;
}
