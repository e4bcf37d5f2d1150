// Philox and arithmetic on bit planes: bit j of a plane is one binary digit of neuron j, so one instruction serves 32
// neurons. The functions are named after those of equations.py and philox.py, which say what they compute.
// Only 32-bit words unless a name says otherwise; no includes, so that the text is the whole cache key of its binary.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define INLINE static __device__ __forceinline__
#define ALL 0xFFFFFFFFu

// When and for whom random words are drawn: equations.Clock.
struct Clock {
  u32 now;     // presentation
  u32 stream;  // 0 in training, STREAM_EVALUATION otherwise
  u32 seed;
  u32 brain;
  u32 calm;
};

// philox.draw: the four words of the counter (word, presentation, cycle << 16 | number, stream) under (seed, brain).
INLINE void draw(u32 word, u32 cycle, u32 number, u32 stream, const Clock &clock, u32 *r) {
  u32 c0 = word, c1 = clock.now, c2 = cycle << 16 | number, c3 = stream;
  u32 k0 = clock.seed, k1 = clock.brain;
#pragma unroll ROUNDS_UNROLLED
  for (int round = 0; round < 10; ++round) {
    u32 h0 = __umulhi(PHILOX_M0, c0), l0 = PHILOX_M0 * c0;
    u32 h1 = __umulhi(PHILOX_M1, c2), l1 = PHILOX_M1 * c2;
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += PHILOX_W0;
    k1 += PHILOX_W1;
  }
  r[0] = c0;
  r[1] = c1;
  r[2] = c2;
  r[3] = c3;
}

// philox.scaled: a uniform integer below size.
INLINE u32 scaled(u32 word, u32 size) { return __umulhi(word, size); }

INLINE u32 mask(bool condition) { return condition ? ALL : 0u; }

// All ones if that binary digit of a number is set.
INLINE u32 digit(u32 number, u32 bit) { return 0u - (number >> bit & 1u); }

INLINE u32 majority(u32 a, u32 b, u32 c) { return (a & b) | (c & (a ^ b)); }

// One digit of the comparison r < m, least significant first.
INLINE u32 below(u32 r, u32 m, u32 lt) { return (~r & m) | (~(r ^ m) & lt); }

INLINE u32 below4(const u32 *r, const u32 *m, u32 lt) {
#pragma unroll
  for (int i = 0; i < 4; ++i) lt = below(r[i], m[i], lt);
  return lt;
}

// The same against a number that all lanes share, given by four of its digits.
INLINE u32 below_number(const u32 *r, u32 number, u32 first, u32 lt) {
#pragma unroll
  for (int i = 0; i < 4; ++i) lt = below(r[i], digit(number, first + i), lt);
  return lt;
}

// The planes of a stream that is drawn once and turned from use to use (philox.random_number): plane p of turn t is
// rotated by t (2 p + 1). Small blocks hold them in registers and turn them on; large ones, with fewer registers, draw
// each anew.
struct Planes {
  u32 word, stream, turn;
#if HOLD_PLANES
  u32 p[28];
#endif
};

INLINE u32 rotated(u32 plane, u32 by) { return __funnelshift_l(plane, plane, by & 31u); }

// Draw first..last of some planes, for the given turn.
INLINE void prepare(Planes &planes, u32 first, u32 last, const Clock &clock) {
#if HOLD_PLANES
#pragma unroll
  for (u32 number = first; number <= last; ++number)
    draw(planes.word, 0, number, planes.stream, clock, planes.p + 4 * number);
  if (planes.turn == 0) return;
#pragma unroll
  for (u32 i = 4 * first; i < 4 * last + 4; ++i) planes.p[i] = rotated(planes.p[i], planes.turn * (2 * i + 1));
#endif
}

// The four planes of one draw.
INLINE void take(const Planes &planes, u32 number, const Clock &clock, u32 *r) {
#if HOLD_PLANES
#pragma unroll
  for (u32 i = 0; i < 4; ++i) r[i] = planes.p[4 * number + i];
#else
  draw(planes.word, 0, number, planes.stream, clock, r);
#pragma unroll
  for (u32 i = 0; i < 4; ++i) r[i] = rotated(r[i], planes.turn * (2 * (4 * number + i) + 1));
#endif
}

// Planes that nobody prepared turn along; the compiler leaves out those that nobody takes.
INLINE void turn_on(Planes &planes) {
#if HOLD_PLANES
#pragma unroll
  for (u32 i = 0; i < 28; ++i) planes.p[i] = rotated(planes.p[i], 2 * i + 1);
#else
  planes.turn += 1;
#endif
}

// Lanes that win a chance of 256, with the planes of draws `number` and `number + 1`.
INLINE u32 wins(const Planes &planes, u32 number, u32 chance, const Clock &clock) {
  u32 r[4];
  take(planes, number, clock, r);
  u32 lt = below_number(r, chance, 0, 0);
  take(planes, number + 1, clock, r);
  return below_number(r, chance, 4, lt) | digit(chance, 8);
}

// x + y, at most 15; into x.
INLINE void add_saturating(u32 *x, const u32 *y) {
  u32 carry = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    u32 sum = x[i] ^ y[i] ^ carry;
    carry = majority(x[i], y[i], carry);
    x[i] = sum;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) x[i] |= carry;
}

// x - y modulo 16 into x; the lanes that borrowed (x < y).
INLINE u32 subtract(u32 *x, const u32 *y) {
  u32 borrow = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    u32 difference = x[i] ^ y[i] ^ borrow;
    borrow = (~x[i] & (y[i] | borrow)) | (y[i] & borrow);
    x[i] = difference;
  }
  return borrow;
}

// One more, modulo 16, in some lanes.
INLINE void increment(u32 *n, u32 lanes) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    u32 carry = n[i] & lanes;
    n[i] ^= lanes;
    lanes = carry;
  }
}

// equations.lose in some lanes: x minus (x + r mod 2**shift) >> shift, shift 0..3.
INLINE void lose(u32 *x, const u32 *r, u32 shift, u32 lanes) {
  u32 t[8];
  u32 carry = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    u32 a = i < 3 ? r[i] & mask(shift > i) : 0u;
    t[i] = x[i] ^ a ^ carry;
    carry = majority(x[i], a, carry);
  }
  t[4] = carry;
  t[5] = t[6] = t[7] = 0;
  // a shift of 0..3 digits: by two if its second digit is set, then by one
  u32 one = digit(shift, 0), two = digit(shift, 1);
#pragma unroll
  for (int i = 0; i < 6; ++i) t[i] = (t[i] & ~two) | (t[i + 2] & two);
#pragma unroll
  for (int i = 0; i < 4; ++i) t[i] = ((t[i] & ~one) | (t[i + 1] & one)) & lanes;
  subtract(x, t);
}

// (n f + r) >> 4 for four-bit n and r and a number f of 0..16: a serial multiplier; into n.
INLINE void share_of(u32 *n, const u32 *r, u32 f) {
  u32 a[5] = {r[0], r[1], r[2], r[3], 0};
#pragma unroll
  for (int bit = 0; bit < 4; ++bit) {
    u32 on = digit(f, bit), carry = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      u32 m = n[i] & on, sum = a[i] ^ m ^ carry;
      carry = majority(a[i], m, carry);
      if (i > 0) a[i - 1] = sum;  // the lowest digit is of no further use
    }
    a[3] = carry;
  }
  u32 whole = digit(f, 4);
#pragma unroll
  for (int i = 0; i < 4; ++i) n[i] = a[i] | (n[i] & whole);
}

// equations.added_trace: sign-magnitude traces e[0..3], e[4] plus a gain of one sign, saturating at +-15.
INLINE void add_signed(u32 *e, const u32 *gain, u32 negative) {
  u32 up[4] = {e[0], e[1], e[2], e[3]}, down[4] = {e[0], e[1], e[2], e[3]};
  add_saturating(up, gain);
  u32 borrow = subtract(down, gain);
  u32 other = e[4] ^ negative;  // lanes where trace and gain differ in sign
  u32 flip = borrow, any = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    // the magnitude of a negative difference is its complement of two
    u32 d = down[i] ^ (borrow & ~flip);
    flip &= ~down[i];
    e[i] = (up[i] & ~other) | (d & other);
    any |= e[i];
  }
  u32 sign = (e[4] & ~(other & borrow)) | (negative & other & borrow);
  e[4] = sign & any;
}

// The larger of two four-bit numbers; into e.
INLINE void larger(u32 *e, const u32 *gain) {
  u32 rest[4] = {e[0], e[1], e[2], e[3]};
  u32 less = subtract(rest, gain);
#pragma unroll
  for (int i = 0; i < 4; ++i) e[i] ^= (e[i] ^ gain[i]) & less;
}

// A number of four digits, which stand in m[0..3], shifted by 0..3 digits: seven digits.
INLINE void shift(u32 *m, u32 by) {
  u32 one = digit(by, 0), two = digit(by, 1);
  m[4] = m[5] = m[6] = 0;
#pragma unroll
  for (int i = 6; i >= 0; --i) m[i] = (m[i] & ~one) | (i > 0 ? m[i - 1] & one : 0u);
#pragma unroll
  for (int i = 6; i >= 0; --i) m[i] = (m[i] & ~two) | (i > 1 ? m[i - 2] & two : 0u);
}

// Sum over the lanes of a warp. Before sm_80 there is no instruction for it.
INLINE s32 warp_sum(s32 x) {
#if __CUDA_ARCH__ >= 800
  return __reduce_add_sync(ALL, x);
#else
#pragma unroll
  for (int distance = 16; distance > 0; distance >>= 1) x += __shfl_xor_sync(ALL, x, distance);
  return x;
#endif
}

// The four digit planes of 32 numbers, one of each lane of a warp.
INLINE void packed(u32 x, u32 *planes) {
#pragma unroll
  for (int i = 0; i < 4; ++i) planes[i] = __ballot_sync(ALL, x >> i & 1u);
}

// A neuron's number from four digit planes that lie so far apart.
INLINE u32 number_of(const u32 *planes, u32 apart, u32 lane) {
  u32 number = 0;
#pragma unroll
  for (u32 i = 0; i < 4; ++i) number |= (planes[i * apart] >> lane & 1u) << i;
  return number;
}
