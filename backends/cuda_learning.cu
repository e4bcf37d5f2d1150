// Readout, action and plasticity. A pair is an output and a word, numbered output * WORDS + word. The pairs come in
// rows of THREADS: one row for each output's pool words, each thread its own word, then the pairs of the other words,
// whatever their output, as many as fit.

#define OTHERS (INPUTS + LEARNING)
#define ROWS (OUTPUTS + (OUTPUTS * OTHERS + THREADS - 1) / THREADS)

#if WORDS <= 136
typedef s32 product;  // 256 x 128 x the spikes of so many words fits 31 bits
#else
typedef s64 product;
#endif

// equations.floor_ratio, for a positive or zero denominator.
INLINE s32 floor_ratio(product numerator, s32 denominator) {
  if (denominator == 0) return 0;
  product quotient = numerator / denominator;
  return (s32)(quotient * denominator > numerator ? quotient - 1 : quotient);
}

// Counts of a word: BOARD_COUNTS as the readouts see them, BOARD_FIRED as they are.
INLINE void read_counts(const u32 *counts, u32 word, u32 *n) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) n[i] = counts[i * WORDS + word];
}

// Sum of w n over the neurons of a word, by popcount of the planes' products. The planes of a pair lie so far apart.
INLINE s32 weighted(const u32 *pair, u32 apart, const u32 *n) {
  const u32 *weight = pair + WEIGHT_PLANE * apart;
  s32 sum = 0;
#pragma unroll
  for (u32 b = 0; b < 8; ++b) {
    u32 w = weight[b * apart], both[4] = {n[0] & w, n[1] & w, n[2] & w, n[3] & w};
    s32 term = spikes_of(both) << b;
    sum = b == 7 ? sum - term : sum + term;
  }
  return sum;
}

// A thread's pair in a row, if it has one there.
struct Place {
  u32 output, word;
  bool valid;
};

INLINE Place place_in(u32 row) {
  Place place = {row, INPUTS + threadIdx.x, threadIdx.x < POOL};
  if (row >= OUTPUTS) {
    u32 at = (row - OUTPUTS) * THREADS + threadIdx.x;
    place.output = at / OTHERS;
    place.word = at % OTHERS;
    if (LEARNING && place.word >= INPUTS) place.word += POOL;
    place.valid = at < OUTPUTS * OTHERS;
  }
  return place;
}

// Everything that is summed up on the board begins with 0.
INLINE void clear_sums(u32 *board) {
  FOR_EACH(i, BOARD_SUMS_END - BOARD_SUMS) board[BOARD_SUMS + i] = 0;
}

// Spikes of the presentation that the readouts see, and of each cluster.
INLINE void sum_spikes(u32 *board) {
  u32 thread = threadIdx.x;
  s32 mine = 0;
  FOR_EACH(word, WORDS) {
    u32 n[4];
    read_counts(board + BOARD_COUNTS, word, n);
    s32 spikes = spikes_of(n);
    mine += spikes;
#if CLUSTERS > 1
    atomicAdd(board + BOARD_OWN + CLUSTERS + word % CLUSTERS, (u32)spikes);
#endif
  }
  s32 total = warp_sum(mine);
  if (thread % 32 == 0) atomicAdd(board + BOARD_SUMS + OUTPUTS, (u32)total);
}

// The sums of equations.readout: w n of each output, that of the critic by clusters too.
INLINE void sum_weights(const u32 *pairs, u32 *board) {
#pragma unroll 1
  for (u32 row = 0; row < ROWS; ++row) {
    Place place = place_in(row);
    s32 mine = 0;
    if (place.valid) {
      u32 n[4];
      read_counts(board + BOARD_COUNTS, place.word, n);
      mine = weighted(pairs + place.output * WORDS + place.word, PAIRS, n);
#if CLUSTERS > 1
      if (place.output == UNITS) atomicAdd(board + BOARD_OWN + place.word % CLUSTERS, (u32)mine);
#endif
    }
    if (row < OUTPUTS) {
      s32 sum = warp_sum(mine);
      if (threadIdx.x % 32 == 0) atomicAdd(board + BOARD_SUMS + row, (u32)sum);
    } else if (place.valid) {
      atomicAdd(board + BOARD_SUMS + place.output, (u32)mine);
    }
  }
}

// equations.readout: drives [UNITS] and values [CLUSTERS] from the sums, and the strongest unit of each group (the
// lowest on a tie) as drive + 32768 over 65535 - unit.
INLINE void readout(const s32 *group_of, u32 *board) {
  FOR_EACH(i, UNITS + CLUSTERS) {
    u32 sum = BOARD_SUMS + min(i, UNITS), total = BOARD_SUMS + OUTPUTS;
#if CLUSTERS > 1
    if (i >= UNITS) {
      sum = BOARD_OWN + i - UNITS;
      total = sum + CLUSTERS;
    }
#endif
    s32 drive = floor_ratio((product)(s32)board[sum] * UNIT, (s32)board[total]);
    board[BOARD_DRIVES + i] = (u32)drive;
    if (i < UNITS) atomicMax(board + BOARD_BEST + group_of[i], (u32)(drive + 32768) << 16 | (65535 - i));
  }
}

// equations.sharpened.
INLINE u32 sharpened(u32 temperature, u32 double_age, u32 age) {
  return double_age == 0 ? temperature : (u32)((u64)temperature * (double_age + min(age, 3 * double_age)) / double_age);
}

// equations.motor_chances of one unit.
INLINE u32 motor_chance(u32 unit, u32 temperature, const s32 *params, const s32 *group_of, const u32 *board) {
  u32 down = (board[BOARD_BEST + group_of[unit]] >> 16) - (board[BOARD_DRIVES + unit] + 32768);
  u64 index = (u64)down * temperature >> 12;
  u32 chance = EXPONENTIAL[index < EXPONENTIAL_SIZE ? index : EXPONENTIAL_SIZE - 1];
  return max(chance, (u32)params[PARAM_MOTOR_BASE]);
}

// Neurons of a motor unit that win their chance of 256 in one cycle.
INLINE u32 wins_now(u32 unit, u32 cycle, u32 stream, u32 chance, const Clock &clock) {
  u32 r[4];
  draw(unit, cycle, 0, stream, clock, r);
  u32 lt = below_number(r, chance, 0, 0);
  draw(unit, cycle, 1, stream, clock, r);
  return below_number(r, chance, 4, lt) | digit(chance, 8);
}

// equations.motor_spikes: a thread for each unit and cycle. Calm, the chances stand for the spikes.
INLINE void fire_motors(const s32 *params, const s32 *group_of, const Clock &clock, u32 age, u32 *board) {
  u32 temperature = sharpened(params[PARAM_TEMPERATURE], params[PARAM_TEMPERATURE_AGE], age);
  FOR_EACH(at, UNITS * (clock.calm ? 1 : CYCLES)) {
    u32 unit = at % UNITS, cycle = at / UNITS;
    u32 spikes = motor_chance(unit, temperature, params, group_of, board);
    if (!clock.calm) {
      spikes = __popc(wins_now(unit, cycle, STREAM_MOTOR + clock.stream, spikes, clock));
      if (params[PARAM_MOTOR_RAMP]) spikes *= cycle + 1;
    }
    atomicAdd(board + BOARD_VOLLEY + unit, spikes);
  }
}

// equations.drawn_unit within a group.
INLINE u32 drawn_unit(const u32 *spikes, u32 size, u32 total, u32 random_word, u32 uniform_word) {
  if (total == 0) return scaled(uniform_word, size);
  u32 pick = scaled(random_word, total), unit = 0;
#pragma unroll 1
  while (pick >= spikes[unit]) pick -= spikes[unit++];
  return unit;
}

// equations.act: a thread for each group chooses its action, unless it is forced, and the second draw.
INLINE void choose(const s32 *starts, const s32 *forced, const Clock &clock, u32 *board) {
  FOR_EACH(group, GROUPS) {
    u32 start = starts[group], size = starts[group + 1] - start, total = 0, r[4];
    const u32 *spikes = board + BOARD_VOLLEY + start;
#pragma unroll 1
    for (u32 unit = 0; unit < size; ++unit) total += spikes[unit];
    draw(group, 0, 0, STREAM_ACTION + clock.stream, clock, r);
    u32 best = 65535 - (board[BOARD_BEST + group] & 65535u) - start;
    u32 choice = clock.calm ? best : drawn_unit(spikes, size, total, r[0], r[1]);
    if (forced && forced[group] >= 0) choice = forced[group];
    board[BOARD_CHOICE + group] = choice;
    board[BOARD_CHOICE + GROUPS + group] = drawn_unit(spikes, size, total, r[2], r[1]);
    board[BOARD_CHOICE + 2 * GROUPS + group] = total;
  }
}

// equations.credit: sixteenths of the counts that enter each unit's trace, and above them its sign.
INLINE void credit(const s32 *params, const s32 *starts, const s32 *group_of, u32 *board) {
  FOR_EACH(at, UNITS) {
    u32 group = group_of[at], unit = at - starts[group], total = board[BOARD_CHOICE + 2 * GROUPS + group];
    bool chosen = unit == board[BOARD_CHOICE + group], second = unit == board[BOARD_CHOICE + GROUPS + group];
    u32 own = board[BOARD_VOLLEY + at], share = 0;
    if (total > 0 && params[PARAM_MOTOR_RULE] == 0) share = 16 * (chosen ? total - own : own) / total;
    if (total > 0 && params[PARAM_MOTOR_RULE] == 1) share = chosen != second ? 16 : 0;
    board[BOARD_CREDIT + at] = (chosen ? 0u : 32u) | share;
  }
}

// equations.step_and_chance, as chance | k << 9 | bits << 14; the sign of dopamine goes between.
INLINE u32 step_and_chance(u32 size, u32 rate, u32 random_word, u32 bits) {
  u64 expected = (u64)size * rate << bits;  // below 2**51
  u32 k = 0;
#pragma unroll 1
  while (expected > 1u << RATE_BITS && k < MAX_STEP_SHIFT + bits) {
    expected >>= 1;
    ++k;
  }
  u32 kept = expected > 1u << RATE_BITS ? 1u << RATE_BITS : (u32)expected;
  return (kept + (random_word >> 16)) >> 16 | k << 9 | bits << 14;
}

// equations.actor_dopamine of |dopamine|.
INLINE u32 actor_dopamine(u32 size, s32 mean, const s32 *own) {
  u32 scale = UNIT;
  if (own[PARAM_SURPRISE_SHIFT] > 0) scale = max(max(mean >> 8, own[PARAM_SURPRISE_FLOOR]), 1);
  return min(size * 256 / scale, (u32)own[PARAM_DOPAMINE_CLIP]);
}

// What the first cluster's dopamine does to the learning words: numpy_backend._learn_inner. Without them it is still
// collected, as the contract has it.
INLINE void collect(s64 dopamine, s32 mean, u32 flag, u32 random_word, const s32 *own, const Clock &clock, u32 *board) {
  const s32 limit = DOPAMINE_LIMIT;
  // as no more than the limit was collected, twice the limit takes it from one end to the other
  u64 magnitude = dopamine < 0 ? -dopamine : dopamine;
  s32 size = magnitude < 2 * DOPAMINE_LIMIT ? (s32)magnitude : 2 * limit;
  s32 collected = max(-limit, min(limit, (s32)board[BOARD_COLLECTED] + (dopamine < 0 ? -size : size)));
  u32 move = 0;
  if (flag != FLAG_CONTINUE || clock.now % own[PARAM_INNER_EVERY] == 0) {
#if LEARNING
    u32 rate = anneal(own[PARAM_INNER_RATE], own[PARAM_RATE_AGE], clock.now);
    u32 whole = collected < 0 ? -collected : collected;
    move = step_and_chance(actor_dopamine(whole, mean, own), rate, random_word, own[PARAM_FRACTION_BITS]);
    move |= collected > 0 ? 1u << 13 : 0u;
#endif
    collected = 0;
  }
  board[BOARD_COLLECTED] = (u32)collected;
#if LEARNING
  board[BOARD_INNER_MOVE] = move;
#endif
}

// The TD error of each cluster and what it does to the weights: a thread for each cluster and step, the critic's first.
INLINE void broadcast(s32 reward, u32 flag, const s32 *params, const Clock &clock, u32 *board) {
  FOR_EACH(at, 2 * CLUSTERS) {
    u32 cluster = at >> 1, actor = at & 1u, r[4];
    const s32 *own = params + cluster * PARAM_COUNT;
    s64 mean = (s32)board[BOARD_SURPRISE + cluster];
    s32 discounted = own[PARAM_GAMMA] * (s32)board[BOARD_DRIVES + UNITS + cluster] >> 15;
    s64 dopamine = (s64)reward + discounted - (s32)board[BOARD_VALUE + cluster];
    u64 magnitude = dopamine < 0 ? -dopamine : dopamine;
    u32 size = magnitude < DOPAMINE_LIMIT ? (u32)magnitude : DOPAMINE_LIMIT;
    if (own[PARAM_SURPRISE_SHIFT] > 0) mean += ((s64)(256 * size) - mean) >> own[PARAM_SURPRISE_SHIFT];
    draw(cluster, 0, 0, STREAM_SCALAR, clock, r);
    u32 rate = anneal(own[actor ? PARAM_ACTOR_RATE : PARAM_CRITIC_RATE], own[PARAM_RATE_AGE], clock.now);
    u32 moving = actor ? actor_dopamine(size, (s32)mean, own) : size;
    u32 move = step_and_chance(moving, rate, actor ? r[1] : r[0], own[PARAM_FRACTION_BITS]);
    board[BOARD_MOVES + at] = move | (dopamine > 0 ? 1u << 13 : 0u);
    if (actor) board[BOARD_MEAN + cluster] = (u32)(s32)mean;
    if (at == 1) collect(dopamine, (s32)mean, flag, r[2], own, clock, board);
  }
}

// Once every thread has read the old values.
INLINE void keep_values(bool learned, u32 *board) {
  FOR_EACH(cluster, CLUSTERS) {
    board[BOARD_VALUE + cluster] = board[BOARD_DRIVES + UNITS + cluster];
    if (learned) board[BOARD_SURPRISE + cluster] = board[BOARD_MEAN + cluster];
  }
  if (!learned && threadIdx.x == 0) board[BOARD_COLLECTED] = 0;
}

// equations.moved_weights: add the magnitudes m 2**(k - k % 4), or subtract them where `down`, which is adding to the
// complement. Rounded by chance, they are quanta of 2**-bits weight steps. What would carry into the sign saturates: at
// 127 and fifteen sixteenths or, once more complemented, at -128. As few do, the sum is written first, and no register
// has to keep it.
INLINE void move_weights(u32 *pair, u32 apart, u32 *m, const u32 *r, u32 k, u32 bits, u32 down) {
  u32 carry = 0, small = mask(k < 4), first = FRACTION_BITS - bits + (k >> 1 & 4u);  // the plane that m[0] is added to
#pragma unroll
  for (u32 i = 0; i < 4; ++i) carry = majority(m[i], r[i], carry);
  carry &= small;
#pragma unroll
  for (u32 i = 0; i < 7; ++i) m[i] = ((i < 3 ? m[i + 4] : 0u) & small) | (m[i] & ~small);
#pragma unroll
  for (u32 i = 0; i < SIGN_PLANE; ++i) {
    if (first + i >= SIGN_PLANE) break;
    u32 w = pair[(first + i) * apart], n = i < 7 ? m[i] : 0u;
    pair[(first + i) * apart] = w ^ n ^ carry;
    carry = majority(w ^ down, n, carry);
  }
  u32 sign = pair[SIGN_PLANE * apart], over = carry & ~(sign ^ down);
  pair[SIGN_PLANE * apart] = sign ^ carry ^ over;
  if (over == 0) return;
#pragma unroll
  for (u32 i = 0; i < SIGN_PLANE; ++i) pair[i * apart] = (pair[i * apart] & ~over) | (over & ~down);
}

// What dopamine does to the weights of one pair.
INLINE void learn(u32 *pair, u32 apart, u32 move, const Planes &planes, const Clock &clock) {
  u32 r[4], m[7], any = 0, chance = move & 511u, k = move >> 9 & 15u;
  if (chance == 0) return;
  u32 lanes = wins(planes, 0, chance, clock), down = pair[(TRACE_PLANE + 4) * apart] ^ ~digit(move, 13);
#pragma unroll
  for (u32 i = 0; i < 4; ++i) any |= m[i] = pair[(TRACE_PLANE + i) * apart] & lanes;
  if (any == 0) return;
  shift(m, k & 3u);
  take(planes, 2, clock, r);
  move_weights(pair, apart, m, r, k, move >> 14, down);
}

// How the weights and traces of a pair change.
struct Rule {
  u32 move;      // from step_and_chance, and the sign of dopamine
  u32 credited;  // from credit
  u32 shift, chance;
  bool replacing;
};

INLINE Rule rule_of(const Place &place, const s32 *params, const u32 *board) {
  u32 cluster = place.word % CLUSTERS;
  bool critic = place.output == UNITS;
  const s32 *own = params + cluster * PARAM_COUNT;
  Rule rule;
  rule.move = board[BOARD_MOVES + 2 * cluster + (critic ? 0 : 1)];
  rule.credited = critic ? 16u : board[BOARD_CREDIT + place.output];
  rule.shift = own[critic ? PARAM_CRITIC_SHIFT : PARAM_ACTOR_SHIFT];
  rule.chance = own[critic ? PARAM_CRITIC_CHANCE : PARAM_ACTOR_CHANCE];
  rule.replacing = critic && own[PARAM_CRITIC_RULE];
  return rule;
}

// Decay of one pair's trace by chance, and the counts n of this presentation.
INLINE void remember(u32 *e, u32 *n, const Rule &rule, const Planes &planes, const Clock &clock) {
  u32 r[4], share = rule.credited & 31u;
  if (rule.chance) {
    u32 lanes = ALL;
    if (rule.chance < 256) {
      lanes = wins(planes, 5, rule.chance, clock);
    }
    take(planes, 3, clock, r);
    lose(e, r, rule.shift, lanes);
  }
  e[4] &= e[0] | e[1] | e[2] | e[3];
  if (share < 16) {
    take(planes, 4, clock, r);
    share_of(n, r, share);
  }
  if (rule.replacing)
    larger(e, n);
  else
    add_signed(e, n, digit(rule.credited, 5));
}

// Weights and traces of one pair, whose word's counts are among `counts`.
INLINE void change_pair(u32 *pair, u32 apart, const u32 *counts, u32 word, const Rule &rule, u32 flag,
                        const Planes &planes, const Clock &clock) {
  u32 e[5] = {0, 0, 0, 0, 0}, n[4];
  if (flag != FLAG_START) learn(pair, apart, rule.move, planes, clock);
  if (flag == FLAG_CONTINUE) {
    // read anew, as learning needs the registers
#pragma unroll
    for (u32 i = 0; i < 5; ++i) e[i] = pair[(TRACE_PLANE + i) * apart];
  }
  if (flag == FLAG_START || flag == FLAG_CONTINUE) {
    read_counts(counts, word, n);
    remember(e, n, rule, planes, clock);
  }
#pragma unroll
  for (u32 i = 0; i < 5; ++i) pair[(TRACE_PLANE + i) * apart] = e[i];
}

// Weights and traces of all pairs, in one pass: dopamine finds the traces of before this presentation. One draw of the
// plastic planes of a word serves 32 outputs, see Stream.PLASTICITY in spec.py.
INLINE void change(u32 *pairs, const s32 *params, u32 flag, const Clock &clock, const u32 *board) {
  Planes planes;
  planes.stream = STREAM_PLASTICITY;
#pragma unroll 1
  for (u32 row = 0; row < ROWS; ++row) {
    Place place = place_in(row);
    if ((row >= OUTPUTS || row % 32 == 0) && place.valid) {
      planes.word = place.output / 32 * WORDS + place.word;
      planes.turn = place.output % 32;
      prepare(planes, 0, 4, clock);
      const s32 *own = param_row(params, place.word);
      // chances of 0 and 256 are no matter of chance
      if ((own[PARAM_CRITIC_CHANCE] | own[PARAM_ACTOR_CHANCE]) & 255) prepare(planes, 5, 6, clock);
    }
    if (place.valid) {
      Rule rule = rule_of(place, params, board);
      u32 *pair = pairs + place.output * WORDS + place.word;
      change_pair(pair, PAIRS, board + BOARD_COUNTS, place.word, rule, flag, planes, clock);
    }
    if (row + 1 < OUTPUTS) turn_on(planes);
  }
}
