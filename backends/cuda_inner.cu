// Echo words and learning words. What they carry from one presentation to the next stays on the board: intensities of echo
// words where sense looks for them, the last counts of learning words in a place of their own. Without such words all
// loops here are empty.

// Places of the echo words' intensities.
INLINE u32 *echo_plane(u32 *board, u32 i) { return board + BOARD_PLANES + i * INPUTS + SENSORY; }

INLINE void load_carried(const u32 *row, u32 *board) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) {
    const u32 *carried = row + ROW_EXCITEMENT + i * CARRIED + POOL;
    copy(echo_plane(board, i), carried, ECHOES);
    copy(board + BOARD_BEFORE + i * LEARNING, carried + ECHOES, LEARNING);
  }
}

INLINE void store_carried(u32 *row, u32 *board) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) {
    u32 *carried = row + ROW_EXCITEMENT + i * CARRIED + POOL;
    copy(carried, echo_plane(board, i), ECHOES);
    copy(carried + ECHOES, board + BOARD_BEFORE + i * LEARNING, LEARNING);
  }
}

// Each thread clears what it loaded, so that no barrier is needed between the two.
INLINE void forget_carried(u32 *board) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) {
    FOR_EACH(echo, ECHOES) echo_plane(board, i)[echo] = 0;
    FOR_EACH(word, LEARNING) board[BOARD_BEFORE + i * LEARNING + word] = 0;
  }
}

// wiring.echo_sources: the words that echo words outside the delay lines repeat.
INLINE void draw_echoes(const Clock &who, u32 *board) {
  const Clock clock = {0, 0, who.seed, who.brain, 0};
  FOR_EACH(i, ECHO_POOL) {
    u32 r[4];
    draw(ECHOES - ECHO_POOL + i, 0, 0, STREAM_ECHO, clock, r);
    board[BOARD_SOURCES + i] = INPUTS + scaled(r[0], POOL + LEARNING);
  }
}

// equations.echoed for one neuron.
INLINE u32 echoed(const u32 *board, u32 echo, u32 lane) {
  u32 source = echo;
  if (echo + ECHO_POOL >= ECHOES) source = board[BOARD_SOURCES + echo + ECHO_POOL - ECHOES];
  return min(16 * number_of(board + BOARD_FIRED + source, WORDS, lane) / CYCLES, 15);
}

INLINE void write_echo(u32 *board, u32 echo, u32 intensity) {
  u32 planes[4];
  packed(intensity, planes);
#pragma unroll
  for (u32 i = 0; i < 4; ++i)
    if (threadIdx.x % 32 == i) echo_plane(board, i)[echo] = planes[i];
}

// What this presentation leaves behind.
INLINE void keep_carried(u32 *board) {
  FOR_EACH_WORD(echo, ECHOES) write_echo(board, echo, echoed(board, echo, threadIdx.x % 32));
#pragma unroll
  for (u32 i = 0; i < 4; ++i)
    copy(board + BOARD_BEFORE + i * LEARNING, board + BOARD_FIRED + i * WORDS + INPUTS + POOL, LEARNING);
}

// The same in bytes [CARRIED, 32], from what was handed in and for what is handed out.
INLINE void unpack_echoes(const u8 *bytes, u32 *board) {
  FOR_EACH_WORD(echo, ECHOES) write_echo(board, echo, bytes[32 * (POOL + echo) + threadIdx.x % 32]);
}

INLINE void pack_carried(u8 *bytes, const u32 *board) {
  FOR_EACH(at, 32 * ECHOES) bytes[32 * POOL + at] = (u8)echoed(board, at / 32, at % 32);
  FOR_EACH(at, 32 * LEARNING)
    bytes[32 * (POOL + ECHOES) + at] = (u8)number_of(board + BOARD_FIRED + INPUTS + POOL + at / 32, WORDS, at % 32);
}

#if LEARNING
// Pairs of a learning neuron and a word that it reads, numbered unit * READ + word. They stay in device memory.
#define INNER_PAIRS (32 * LEARNING * READ)

// equations.learning_counts of one neuron.
INLINE u32 trials(u32 word, u32 lane, u32 chance, const Clock &clock) {
  u32 r[8], n = 0;
  if (clock.calm) return CYCLES * chance + 128 >> 8;
  draw(word, 0, 0, STREAM_LEARNING + clock.stream, clock, r);
  draw(word, 0, 1, STREAM_LEARNING + clock.stream, clock, r + 4);
#pragma unroll 1
  for (u32 cycle = 0; cycle < CYCLES; ++cycle) {
    u32 x = 0;
#pragma unroll
    for (u32 i = 0; i < 8; ++i) x |= (rotated(r[i], cycle * (2 * i + 1)) >> lane & 1u) << i;
    n += x < chance;
  }
  return n;
}

// The sum of equations.learning_chances for each neuron of a word: the lanes of a warp share out the words that it reads,
// for one neuron after the other. Each lane returns that of its own neuron.
INLINE s32 learning_drive(const u32 *inner, u32 word, const u32 *board) {
  u32 lane = threadIdx.x % 32;
  s32 own = 0;
#pragma unroll 1
  for (u32 neuron = 0; neuron < 32; ++neuron) {
    s32 mine = 0;
#pragma unroll 1
    for (u32 source = lane; source < READ; source += 32) {
      u32 n[4];
      read_counts(board + BOARD_FIRED, source, n);
      mine += weighted(inner + (32 * word + neuron) * READ + source, INNER_PAIRS, n);
    }
    s32 sum = warp_sum(mine);
    if (neuron == lane) own = sum;
  }
  return own;
}

// The learning neurons fire: a warp for each word. Returns the spikes that this thread counted.
INLINE s32 fire_learning(const u32 *inner, const s32 *params, const Clock &clock, u32 *board) {
  u32 lane = threadIdx.x % 32, n[4];
  s32 spikes = 0;
  FOR_EACH_WORD(word, LEARNING) {
    s64 drive = learning_drive(inner, word, board);
    s64 index = 128 + params[PARAM_INNER_BIAS] + (drive * params[PARAM_INNER_SLOPE] >> 16);
    s32 beyond = (s32)(index >> 8);  // 0 for an index of 0..255
    u32 chance = SIGMOID[beyond == 0 ? (u32)index : beyond < 0 ? 0u : 255u];
    board[BOARD_CHANCES + 32 * word + lane] = chance;
    packed(trials(word, lane, chance, clock), n);
    if (lane == 0) spikes += write_counts(board, INPUTS + POOL + word, n, 4, params);
  }
  return spikes;
}

// equations.feedback_weights of one learning unit.
INLINE s32 feedback_weight(const u32 *pairs, u32 word, u32 lane, const s32 *params, const u32 *board) {
  s32 sum = 0;
#pragma unroll 1
  for (u32 output = 0; output < OUTPUTS; ++output) {
    u32 pair = output * WORDS + word, weight = 0;
#pragma unroll
    for (u32 b = 0; b < 8; ++b) weight |= (pairs[(WEIGHT_PLANE + b) * PAIRS + pair] >> lane & 1u) << b;
    u32 credited = output == UNITS ? 0u : board[BOARD_CREDIT + output];
    s32 share = output == UNITS ? params[PARAM_CRITIC_FEEDBACK] : (s32)(credited & 31u);
    sum += ((s32)weight - (weight >> 7 ? 256 : 0)) * (credited & 32u ? -share : share);
  }
  return sum;
}

// equations.learning_signal and learning_credit: a thread for each learning unit.
INLINE void credit_learning(const u32 *pairs, const s32 *params, const Clock &clock, u32 *board) {
  FOR_EACH(unit, 32 * LEARNING) {
    u32 word = unit / 32, lane = unit % 32, r[4];
    s32 p = (s32)board[BOARD_CHANCES + unit], signal;
    s32 n = (s32)number_of(board + BOARD_FIRED + INPUTS + POOL + word, WORDS, lane);
    if (params[PARAM_INNER_RULE] == 0) {
      signal = feedback_weight(pairs, INPUTS + POOL + word, lane, params, board) * (p * (256 - p) >> 8);
    } else if (params[PARAM_INNER_RULE] == 1) {
      signal = floor_ratio((256 * n - CYCLES * p) * 256, CYCLES);
    } else {
      signal = floor_ratio((n - (s32)number_of(board + BOARD_BEFORE + word, LEARNING, lane)) * 65536, CYCLES);
    }
    draw(unit, 0, 0, STREAM_CREDIT, clock, r);
    u64 share = (u64)(signal < 0 ? -signal : signal) * (u32)params[PARAM_FEEDBACK] + (r[0] & 0xFFFFu) >> 16;
    board[BOARD_INNER_CREDIT + unit] = (signal < 0 ? 32u : 0u) | (share < 16 ? (u32)share : 16u);
  }
}

// Weights and traces of the learning words. A thread draws the plastic planes of a learning word and one that it reads
// once, and they serve its 32 neurons.
INLINE void change_learning(u32 *inner, const s32 *params, u32 flag, const Clock &clock, const u32 *board) {
  Rule rule = {board[BOARD_INNER_MOVE], 0, (u32)params[PARAM_INNER_SHIFT], (u32)params[PARAM_INNER_CHANCE], false};
  Planes planes;
  planes.stream = STREAM_INNER;
  FOR_EACH(at, LEARNING * READ) {
    u32 first = at / READ * 32, source = at % READ;
    planes.word = at;
    planes.turn = 0;
    prepare(planes, 0, 4, clock);
    if (rule.chance & 255) prepare(planes, 5, 6, clock);
#pragma unroll 1
    for (u32 unit = first; unit < first + 32; ++unit) {
      rule.credited = board[BOARD_INNER_CREDIT + unit];
      change_pair(inner + unit * READ + source, INNER_PAIRS, board + BOARD_FIRED, source, rule, flag, planes, clock);
      turn_on(planes);
    }
  }
}
#endif
