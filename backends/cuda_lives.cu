// Resident runs: world, encoder, scale of rewards and books around step(), in one launch. What is done for a brain as a
// whole, thread 0 does, in double precision on rows of shared memory (REAL_.. and WHOLE_.. of resident.py); no operation
// may be fused with another (-fmad=false). The functions are named after those of numba_resident.py.

#define NEWS(i) board[BOARD_NEWS + (i)]  // flag, reward, chosen unit
#define CHOSEN_PLACE 2
#define FLAG_STOP 255u
#define REWARD_PLACE 6
#define TERMINATED_PLACE 7
#define HALF 8

struct Life {
  double *real;
  s64 *whole;
};

INLINE Life life_on(u32 *board) {
  Life life = {(double *)(board + BOARD_REAL), (s64 *)(board + BOARD_WHOLE)};
  return life;
}

INLINE double smaller(double a, double b) { return b < a ? b : a; }
INLINE double larger_of(double a, double b) { return b > a ? b : a; }
INLINE double size_of(double a) { return a < 0.0 ? -a : a; }

// The rows without the rings of episodes, to shared memory and back.
INLINE void board_life(const Life &life, const double *real, const s64 *whole) {
  FOR_EACH(i, REAL_RETURNS) life.real[i] = real[i];
  FOR_EACH(i, WHOLE_LENGTHS) life.whole[i] = whole[i];
}

INLINE void leave_life(const Life &life, double *real, s64 *whole) {
  FOR_EACH(i, REAL_RETURNS) real[i] = life.real[i];
  FOR_EACH(i, WHOLE_LENGTHS) whole[i] = life.whole[i];
}

INLINE u64 episode_seed(u32 episode, u32 stream, u32 seed, u32 brain) {
  const Clock clock = {episode, 0, seed, brain, 0};
  u32 r[4];
  draw(0, 0, 0, stream, clock, r);
  return r[0] >> 1;
}

INLINE void observe(const Life &life) {
  double *real = life.real;
  s64 *whole = life.whole, n = whole[WHOLE_SEEN] + 1;
  if (whole[WHOLE_SEEN] >= whole[WHOLE_WARMUP]) return;
#pragma unroll 1
  for (u32 d = 0; d < SENSORY; ++d) {
    double value = smaller(larger_of(real[REAL_OUT + d], -1e100), 1e100);
    double before = value - real[REAL_MEAN + d];
    double mean = real[REAL_MEAN + d] + before / (double)n;
    double square = real[REAL_SQUARE + d] + before * (value - mean);
    real[REAL_MEAN + d] = mean;
    real[REAL_SQUARE + d] = square;
    if (whole[WHOLE_ADAPTIVE] >> d & 1) {
      double reach = real[REAL_DEVIATIONS] * (sqrt(square / (double)n) + 1e-6);
      real[REAL_LOW + d] = mean - reach;
      real[REAL_SCALE + d] = (double)(LEVELS - 1) / (2.0 * reach);
    }
  }
  whole[WHOLE_SEEN] = n;
}

// Intensities of the world's last observation: bytes [SENSORY, 32], eight words of each dimension.
INLINE void encode(const Life &life, const u32 *table, u32 *board) {
  FOR_EACH(i, 8 * SENSORY) {
    u32 d = i / 8;
    double position = (life.real[REAL_OUT + d] - life.real[REAL_LOW + d]) * life.real[REAL_SCALE + d];
    u32 at = (u32)smaller(larger_of(position, 0.0), (double)(LEVELS - 1));
    board[BOARD_SEEN + i] = table[8 * at + i % 8];
  }
}

INLINE void follow(const Life &life, double reward, bool terminated) {
  double *real = life.real;
  s64 *whole = life.whole;
  reward = larger_of(-1e30, smaller(1e30, reward));
  real[REAL_TOTAL] = real[REAL_GAMMA] * real[REAL_TOTAL] + reward;
  whole[WHOLE_REWARDS] += 1;
  whole[WHOLE_AGE] += whole[WHOLE_AGE] > 0 || reward != 0.0;
  double share = larger_of(1.0 / (double)whole[WHOLE_REWARDS], FORGETTING);
  real[REAL_ENDS] += share * ((terminated ? 1.0 : 0.0) - real[REAL_ENDS]);
  real[REAL_SIZE] += share * (size_of(reward) - real[REAL_SIZE]);
  real[REAL_LARGEST] = larger_of(real[REAL_LARGEST] - FORGETTING * real[REAL_LARGEST], size_of(real[REAL_TOTAL]));
  if (terminated) real[REAL_TOTAL] = 0.0;
}

INLINE double adapt(const Life &life) {
  double *real = life.real, span = real[REAL_SPAN], unit = real[REAL_UNIT];
  s64 age = life.whole[WHOLE_AGE];
  bool young = age < EVERY;
  if (!(unit == 0.0 || age % EVERY == 0 || (young && (age & (age - 1)) == 0))) return 1.0;
  double stop = 1.0 - real[REAL_GAMMA] * (1.0 - real[REAL_ENDS]);
  double reach = larger_of(real[REAL_LARGEST], real[REAL_SIZE] / larger_of(stop, 1.0 / 1024.0));
  if (reach < 1e-30) return 1.0;
  if (unit == 0.0) {
    real[REAL_UNIT] = span / reach;
    return 1.0;
  }
  double factor = 1.0, most = 128.0 * UNIT, limit = young ? smaller(1.1 * span, most) : most;
#pragma unroll 1
  while (reach * unit * factor > limit) factor *= 0.5;
#pragma unroll 1
  while (reach * unit * factor < 0.32 * span) factor *= 2.0;
  real[REAL_UNIT] = unit * factor;
  return factor;
}

INLINE s32 stretched(s32 x, double factor, double centre, double least, double most) {
  double y = floor(centre + ((double)x - centre) * factor + 0.5);
  return (s32)smaller(larger_of(y, least), most);
}

// The critic's synapses of one word.
INLINE void stretch_word(u32 *pair, double factor, s32 centre) {
  u32 planes[12], changed[12];
  double least = -128.0 * 16.0, most = 127.0 * 16.0 + 15.0;
#pragma unroll
  for (u32 i = 0; i < 12; ++i) {
    planes[i] = pair[i * PAIRS];
    changed[i] = 0;
  }
#pragma unroll 1
  for (u32 lane = 0; lane < 32; ++lane) {
    u32 fine = 0;
#pragma unroll
    for (u32 i = 0; i < 12; ++i) fine |= (planes[i] >> lane & 1u) << i;
    s32 number = stretched((s32)(fine ^ 2048u) - 2048, factor, (double)(16 * centre + HALF), least, most);
#pragma unroll
    for (u32 i = 0; i < 12; ++i) changed[i] |= ((u32)number >> i & 1u) << lane;
  }
#pragma unroll
  for (u32 i = 0; i < 12; ++i) pair[i * PAIRS] = changed[i];
}

INLINE void rescale(u32 *pairs, double factor, s32 born, u32 *board) {
  s32 centre = factor < 1.0 ? born : 0, *numbers = (s32 *)board;
  FOR_EACH(word, WORDS) stretch_word(pairs + UNITS * WORDS + word, factor, centre);
  FOR_EACH(k, CLUSTERS) {
    s32 *value = numbers + BOARD_VALUE + k, *surprise = numbers + BOARD_SURPRISE + k;
    *value = stretched(*value, factor, (double)(centre * UNIT), -128.0 * UNIT, 127.0 * UNIT);
    *surprise = stretched(*surprise, factor, 0.0, 0.0, (double)DOPAMINE_LIMIT * UNIT);
  }
  s32 *collected = numbers + BOARD_COLLECTED;
  if (threadIdx.x == 0)
    *collected = stretched(*collected, factor, 0.0, -(double)DOPAMINE_LIMIT, (double)DOPAMINE_LIMIT);
}

INLINE s32 integer_reward(double reward, double unit) {
  return (s32)floor(larger_of(-32767.0, smaller(32767.0, reward * unit + 0.5)));
}

INLINE void begin_episode(const Life &life, u32 seed, u32 brain) {
  u64 first = episode_seed((u32)life.whole[WHOLE_BEGUN], STREAM_EPISODE, seed, brain);
  world_start(first, 0, life.real + REAL_STATE, life.real + REAL_OUT);
  life.whole[WHOLE_BEGUN] += 1;
  life.whole[WHOLE_ELAPSED] = 0;
  life.real[REAL_RETURN] = 0.0;
}

INLINE void close_episode(const Life &life, double *real, s64 *whole) {
  u32 at = (u32)((u64)life.whole[WHOLE_ENDED] % RECENT);
  real[REAL_RETURNS + at] = life.real[REAL_RETURN];
  whole[WHOLE_LENGTHS + at] = life.whole[WHOLE_ELAPSED];
  life.whole[WHOLE_ENDED] += 1;
}

INLINE u32 act_in_world(const Life &life, const double *preferred, u32 limit) {
  double *real = life.real;
  world_step(real + REAL_STATE, preferred[life.whole[WHOLE_UNIT]], real + REAL_OUT);
  s64 elapsed = life.whole[WHOLE_ELAPSED] += 1;
  real[REAL_RETURN] += real[REAL_OUT + REWARD_PLACE];
  if (real[REAL_OUT + TERMINATED_PLACE] != 0.0) return FLAG_TERMINATED;
  return elapsed >= limit ? FLAG_TRUNCATED : FLAG_CONTINUE;
}

// What comes next: the first observation after an end, another step, or nothing. Only thread 0.
INLINE void go_on(const Life &life, const double *preferred, u32 limit, u32 seed, u32 brain, double *real, s64 *whole,
                  u32 *board) {
  u32 flag = NEWS(0);
  double reward = 0.0, factor = 1.0;
  if (flag == FLAG_TERMINATED || flag == FLAG_TRUNCATED) {
    close_episode(life, real, whole);
    begin_episode(life, seed, brain);
    flag = FLAG_START;
  } else if (life.whole[WHOLE_STEPS] == 0) {
    flag = FLAG_STOP;
  } else {
    life.whole[WHOLE_STEPS] -= 1;
    flag = act_in_world(life, preferred, limit);
    reward = life.real[REAL_OUT + REWARD_PLACE];
  }
  if (flag != FLAG_STOP) observe(life);
  if (flag != FLAG_STOP && flag != FLAG_START && life.whole[WHOLE_FOLLOWS]) {
    follow(life, reward, flag == FLAG_TERMINATED);
    factor = adapt(life);
  }
  life.real[REAL_FACTOR] = factor;
  NEWS(0) = flag;
  NEWS(1) = (u32)(flag == FLAG_START || flag == FLAG_STOP ? 0 : integer_reward(reward, life.real[REAL_UNIT]));
}

// Lives of all brains, as many steps as their rows say.
// memory, params, groups: as in run; real [brains, REAL_LENGTH], whole [brains, WHOLE_LENGTH]; table [LEVELS, 8 words of
// four intensities]; preferred [2, UNITS].
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
live(u32 *memory, const s32 *params, const s32 *groups, double *real, s64 *whole, const u32 *table,
     const double *preferred, u32 seed, u32 limit) {
  extern __shared__ u32 board[];
  u32 *row = memory + (u64)blockIdx.x * ROW_LENGTH, x[4];
  const s32 *own = params + (u64)blockIdx.x * CLUSTERS * PARAM_COUNT;
  double *reals = real + (u64)blockIdx.x * REAL_LENGTH;
  s64 *wholes = whole + (u64)blockIdx.x * WHOLE_LENGTH;
  if (wholes[WHOLE_STEPS] == 0) return;
  Clock clock = {row[ROW_PRESENTATION], 0, seed, row[ROW_BRAIN], 0};
  Life life = life_on(board);
  board_life(life, reals, wholes);
  u32 *pairs = open_brain(row, x, clock, board);
  clock.brain ^= (u32)own[PARAM_COPY] << COPY_SHIFT;
  if (threadIdx.x == 0) NEWS(0) = FLAG_CONTINUE;
#pragma unroll 1
  for (;;) {
    BARRIER();
    if (threadIdx.x == 0) go_on(life, preferred, limit, seed, row[ROW_BRAIN], reals, wholes, board);
    BARRIER();
    u32 flag = NEWS(0);
    if (flag == FLAG_STOP) break;
    double factor = life.real[REAL_FACTOR];
    encode(life, table, board);
    if (factor != 1.0) rescale(pairs, factor, (s32)life.whole[WHOLE_OPTIMISM], board);
    s32 reward = (s32)NEWS(1);
    BARRIER();
    step(pairs, row + ROW_INNER, x, (const u8 *)(board + BOARD_SEEN), reward, flag, nullptr, own, groups, clock, board,
         (s32 *)(board + BOARD_NEWS + CHOSEN_PLACE));
    if (threadIdx.x == 0) {
      if (flag == FLAG_START) row[ROW_EPISODE] += 1;
      bool acts = flag == FLAG_START || flag == FLAG_CONTINUE;
      life.whole[WHOLE_UNIT] = acts ? (s64)NEWS(CHOSEN_PLACE) : 0;
    }
    clock.now += 1;
  }
  leave_life(life, reals, wholes);
  close_brain(row, x, pairs, clock, board);
}

// Decoder.decode_mean.
INLINE double calm_action(const double *preferred, double low, double high, const u32 *board) {
  double top = 0.0, weight = 0.0;
#pragma unroll 1
  for (u32 unit = 0; unit < UNITS; ++unit) {
    double spikes = (double)(s32)board[BOARD_VOLLEY + unit];
    top += spikes * preferred[UNITS + unit];
    weight += spikes;
  }
  double action = (double)(float)(top / larger_of(weight, 1.0));
  return smaller(larger_of(action, low), high);
}

// Episodes without learning, a block for each brain asked[i]: returns and lengths [asked, episodes].
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
trial(const u32 *memory, const s32 *params, const s32 *groups, const double *real, const u32 *asked, const u32 *table,
      const double *preferred, const double *bounds, double *returns, s64 *lengths, u32 seed, u32 limit, u32 episode_key,
      u32 episodes, u32 calm) {
  extern __shared__ u32 board[];
  const u32 *row = memory + (u64)asked[blockIdx.x] * ROW_LENGTH;
  const s32 *own = params + (u64)asked[blockIdx.x] * CLUSTERS * PARAM_COUNT, *group_of = groups + GROUPS + 1;
  const double *reals = real + (u64)asked[blockIdx.x] * REAL_LENGTH;
  double *world = returns + (u64)blockIdx.x * episodes, total = 0.0;
  s64 *ends = lengths + (u64)blockIdx.x * episodes;
  Clock clock = {0, STREAM_EVALUATION, seed, row[ROW_BRAIN], calm};
  Life life = life_on(board);
  FOR_EACH(i, REAL_RETURNS) life.real[i] = reals[i];
  draw_echoes(clock, board);
  if (threadIdx.x < POOL) wire(threadIdx.x, row[ROW_GENERATION + threadIdx.x], clock, board);
  u32 x[4] = {0, 0, 0, 0}, episode = 0, length = 0, shown = 0;
#pragma unroll 1
  while (episode < episodes) {
    BARRIER();
    if (length == 0) {
      x[0] = x[1] = x[2] = x[3] = 0;
      forget_carried(board);
      if (threadIdx.x == 0) {
        u64 first = episode_seed(episode, STREAM_EPISODE + STREAM_EVALUATION, episode_key, clock.brain);
        world_start(first, 0, life.real + REAL_STATE, life.real + REAL_OUT);
        total = 0.0;
      }
      BARRIER();
    }
    clock.now = calm ? 0u : shown;
    encode(life, table, board);
    clear_sums(board);
    BARRIER();
    const u8 *seen = (const u8 *)(board + BOARD_SEEN);
    see(row + ROW_PAIRS, row + ROW_INNER, x, seen, own, group_of, clock, board);
    BARRIER();
    fire_motors(own, group_of, clock, row[ROW_PRESENTATION], board);
    BARRIER();
    choose(groups, nullptr, clock, board);
    keep_carried(board);
    BARRIER();
    ++length;
    ++shown;
    if (threadIdx.x == 0) {
      double action = preferred[board[BOARD_CHOICE]];
      if (calm && bounds[2] != 0.0) action = calm_action(preferred, bounds[0], bounds[1], board);
      world_step(life.real + REAL_STATE, action, life.real + REAL_OUT);
      total += life.real[REAL_OUT + REWARD_PLACE];
      bool ended = life.real[REAL_OUT + TERMINATED_PLACE] != 0.0 || length >= limit;
      NEWS(0) = ended;
      if (ended) {
        world[episode] = total;
        ends[episode] = length;
      }
    }
    BARRIER();
    if (NEWS(0)) {
      ++episode;
      length = 0;
    }
  }
}
