// The kernels: one block is one brain.

// Excitement of this thread's pool word.
INLINE void load_excitement(const u32 *row, u32 *x) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) x[i] = threadIdx.x < POOL ? row[ROW_EXCITEMENT + i * CARRIED + threadIdx.x] : 0u;
}

INLINE void store_excitement(u32 *row, const u32 *x) {
  if (threadIdx.x >= POOL) return;
#pragma unroll
  for (u32 i = 0; i < 4; ++i) row[ROW_EXCITEMENT + i * CARRIED + threadIdx.x] = x[i];
}

// A presentation up to drives and values.
INLINE void see(const u32 *pairs, const u32 *inner, u32 *x, const u8 *intensity, const s32 *params, const s32 *group_of,
                const Clock &clock, u32 *board) {
  present(intensity, x, params, clock, board);
  BARRIER();
#if LEARNING
  fire_learning(inner, params, clock, board);
  BARRIER();
#endif
  sum_spikes(board);
  sum_weights(pairs, board);
  BARRIER();
  readout(group_of, board);
}

// One presentation and its learning: numpy_backend._step. Every reading of the board lies behind a barrier after the
// last writing, and every writing behind one after the last reading.
INLINE void step(u32 *pairs, u32 *inner, u32 *x, const u8 *intensity, s32 reward, u32 flag, const s32 *forced,
                 const s32 *params, const s32 *groups, const Clock &clock, u32 *board, s32 *actions) {
  const s32 *group_of = groups + GROUPS + 1;
  bool acts = flag == FLAG_START || flag == FLAG_CONTINUE;
  if (flag == FLAG_START) {
    x[0] = x[1] = x[2] = x[3] = 0;
    forget_carried(board);
  }
  clear_sums(board);
  if (flag != FLAG_TERMINATED) {
    see(pairs, inner, x, intensity, params, group_of, clock, board);
  } else {
    // what follows the end is worth nothing
    FOR_EACH(i, UNITS + CLUSTERS) board[BOARD_DRIVES + i] = 0;
  }
  BARRIER();
  if (acts) fire_motors(params, group_of, clock, clock.now, board);
  if (flag != FLAG_START) broadcast(reward, flag, params, clock, board);
  BARRIER();
  keep_values(flag != FLAG_START, board);
  if (acts) {
    choose(groups, forced, clock, board);
    BARRIER();
    credit(params, groups, group_of, board);
    FOR_EACH(i, GROUPS) actions[i] = (s32)board[BOARD_CHOICE + i];
    BARRIER();
  } else {
    x[0] = x[1] = x[2] = x[3] = 0;
  }
  change(pairs, params, flag, clock, board);
#if LEARNING
  BARRIER();
  if (acts) {
    credit_learning(pairs, params, clock, board);
    BARRIER();
  }
  change_learning(inner, params, flag, clock, board);
#endif
  if (acts)
    keep_carried(board);
  else
    forget_carried(board);
  BARRIER();
}

// A brain from its row to registers and board, for a launch, and back. Returns where its pairs are.
INLINE u32 *open_brain(u32 *row, u32 *x, const Clock &clock, u32 *board) {
#if PAIRS_SHARED
  u32 *pairs = board + BOARD_PAIRS;
  copy(pairs, row + ROW_PAIRS, PLANES * PAIRS);
#else
  u32 *pairs = row + ROW_PAIRS;
#endif
  copy(board + BOARD_VALUE, row + ROW_VALUE, CLUSTERS);
  copy(board + BOARD_SURPRISE, row + ROW_SURPRISE, CLUSTERS);
  if (threadIdx.x == 0) board[BOARD_COLLECTED] = row[ROW_COLLECTED];
  load_excitement(row, x);
  load_carried(row, board);
  draw_echoes(clock, board);
  if (threadIdx.x < POOL) wire(threadIdx.x, row[ROW_GENERATION + threadIdx.x], clock, board);
  return pairs;
}

INLINE void close_brain(u32 *row, const u32 *x, const u32 *pairs, const Clock &clock, u32 *board) {
  store_excitement(row, x);
  store_carried(row, board);
#if PAIRS_SHARED
  copy(row + ROW_PAIRS, pairs, PLANES * PAIRS);
#endif
  copy(row + ROW_VALUE, board + BOARD_VALUE, CLUSTERS);
  copy(row + ROW_SURPRISE, board + BOARD_SURPRISE, CLUSTERS);
  if (threadIdx.x == 0) {
    row[ROW_PRESENTATION] = clock.now;
    row[ROW_COLLECTED] = board[BOARD_COLLECTED];
  }
}

#ifndef WORLD  // resident runs have kernels of their own
// T presentations of all brains, learning included.
// memory [brains, ROW_LENGTH], params [brains, CLUSTERS, PARAM_COUNT], groups [GROUPS + 1 starts, UNITS groups],
// intensities [steps, brains, SENSORY, 32], rewards and flags [steps, brains], forced and actions [steps, brains, GROUPS];
// forced is read only if forcing is not 0.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
run(u32 *memory, const s32 *params, const s32 *groups, const u8 *intensities, const s32 *rewards, const u8 *flags,
    const s32 *forced, s32 *actions, u32 seed, u32 steps, u32 forcing) {
  extern __shared__ u32 board[];
  u32 *row = memory + (u64)blockIdx.x * ROW_LENGTH, x[4];
  const s32 *own = params + (u64)blockIdx.x * CLUSTERS * PARAM_COUNT;
  Clock clock = {row[ROW_PRESENTATION], 0, seed, row[ROW_BRAIN], 0};
  u32 *pairs = open_brain(row, x, clock, board);
  clock.brain ^= (u32)own[PARAM_COPY] << COPY_SHIFT;
#pragma unroll 1
  for (u32 t = 0; t < steps; ++t) {
    u64 at = (u64)t * gridDim.x + blockIdx.x;
    u32 flag = flags[at];
    FOR_EACH(i, GROUPS) actions[at * GROUPS + i] = 0;
    if (flag == FLAG_IDLE) continue;
    step(pairs, row + ROW_INNER, x, intensities + at * (32 * SENSORY), rewards[at], flag,
         forcing ? forced + at * GROUPS : nullptr, own, groups, clock, board, actions + at * GROUPS);
    clock.now += 1;
    if (flag == FLAG_START && threadIdx.x == 0) row[ROW_EPISODE] += 1;
  }
  close_brain(row, x, pairs, clock, board);
}

// Excitement [POOL, 32] in bytes: a lane for each neuron, then a lane for each word, and back.
INLINE void unpack_excitement(const u8 *bytes, u32 *x) {
  u32 thread = threadIdx.x, lane = thread & 31u, first = thread - lane;
#pragma unroll
  for (u32 i = 0; i < 4; ++i) x[i] = 0;
#pragma unroll 1
  for (u32 word = first; word < min(first + 32, POOL); ++word) {
    u32 planes[4];
    packed(bytes[32 * word + lane], planes);
#pragma unroll
    for (u32 i = 0; i < 4; ++i)
      if (word == thread) x[i] = planes[i];
  }
}

INLINE void pack_excitement(u8 *bytes, const u32 *x) {
  u32 thread = threadIdx.x, lane = thread & 31u, first = thread - lane;
#pragma unroll 1
  for (u32 word = first; word < min(first + 32, POOL); ++word) {
    u32 number = 0;
#pragma unroll
    for (u32 i = 0; i < 4; ++i) number |= (__shfl_sync(ALL, x[i], word - first) >> lane & 1u) << i;
    bytes[32 * word + lane] = (u8)number;
  }
}

// Answers without learning: numpy_backend.predict, one block for each observation.
// asked [observations]: whose brain; excitement and after [observations, CARRIED, 32]; actions [observations, GROUPS],
// volley [.., UNITS], values [.., CLUSTERS], spikes [..].
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
predict(const u32 *memory, const s32 *params, const s32 *groups, const u32 *asked, const u8 *intensities,
        const u8 *excitement, const u32 *presentations, s32 *actions, s32 *volley, s32 *values, s32 *spikes, u8 *after,
        u32 seed, u32 calm) {
  extern __shared__ u32 board[];
  u64 i = blockIdx.x, whose = asked[i];
  const u32 *row = memory + whose * ROW_LENGTH;
  const s32 *own = params + whose * CLUSTERS * PARAM_COUNT, *group_of = groups + GROUPS + 1;
  Clock clock = {calm ? 0u : presentations[i], STREAM_EVALUATION, seed, row[ROW_BRAIN], calm};
  u32 x[4];
  unpack_excitement(excitement + i * (32 * CARRIED), x);
  unpack_echoes(excitement + i * (32 * CARRIED), board);
  draw_echoes(clock, board);
  if (threadIdx.x < POOL) wire(threadIdx.x, row[ROW_GENERATION + threadIdx.x], clock, board);
  clear_sums(board);
  // as see() does it, and counts the spikes
  s32 fired = present(intensities + i * (32 * SENSORY), x, own, clock, board);
  BARRIER();
#if LEARNING
  fired += fire_learning(row + ROW_INNER, own, clock, board);
  BARRIER();
#endif
  fired = warp_sum(fired);
  if (threadIdx.x % 32 == 0) atomicAdd(board + BOARD_SUMS + OUTPUTS + 1, (u32)fired);
  sum_spikes(board);
  sum_weights(row + ROW_PAIRS, board);
  BARRIER();
  readout(group_of, board);
  BARRIER();
  fire_motors(own, group_of, clock, row[ROW_PRESENTATION], board);
  BARRIER();
  choose(groups, nullptr, clock, board);
  // each thread hands out the actions that it chose itself
  FOR_EACH(j, GROUPS) actions[i * GROUPS + j] = (s32)board[BOARD_CHOICE + j];
  FOR_EACH(j, UNITS) volley[i * UNITS + j] = (s32)board[BOARD_VOLLEY + j];
  FOR_EACH(j, CLUSTERS) values[i * CLUSTERS + j] = (s32)board[BOARD_DRIVES + UNITS + j];
  if (threadIdx.x == 0) spikes[i] = (s32)board[BOARD_SUMS + OUTPUTS + 1];
  pack_excitement(after + i * (32 * CARRIED), x);
  pack_carried(after + i * (32 * CARRIED), board);
}
#endif
