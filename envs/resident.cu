// Five worlds on the device: the functions of physics.py, sine.py and worlds.py under the same names, with world_ before
// them, and the same operations in the same order, so the bits are the same; those files say what they compute. Only the
// world whose number is WORLD is compiled. Multiplications must not be fused with additions. No includes, and no arrays
// with an index known only at run time; u64 and INLINE come from the text before this one.

#define WORLD_PI 3.141592653589793

struct Sines {
  double s, c;
};

INLINE Sines world_sines(double x) {
  double k = floor(x * 0.6366197723675814 + 0.5);
  double t = x - k * 1.5707963267341256;
  double w = k * 6.077100506303966e-11;
  double u = t - w;
  double tail = ((t - u) - w) - k * 2.0222662487959506e-21;
  double r = u + tail;
  double rest = (u - r) + tail;
  double z = r * r;
  double odd = 2.8114572543455206e-15;
  odd = -7.647163731819816e-13 + z * odd;
  odd = 1.6059043836821613e-10 + z * odd;
  odd = -2.505210838544172e-08 + z * odd;
  odd = 2.7557319223985893e-06 + z * odd;
  odd = -0.0001984126984126984 + z * odd;
  odd = 0.008333333333333333 + z * odd;
  odd = z * (-0.16666666666666666 + z * odd);
  double even = -1.5619206968586225e-16;
  even = 4.779477332387385e-14 + z * even;
  even = -1.1470745597729725e-11 + z * even;
  even = 2.08767569878681e-09 + z * even;
  even = -2.755731922398589e-07 + z * even;
  even = 2.48015873015873e-05 + z * even;
  even = -0.001388888888888889 + z * even;
  even = z * z * (0.041666666666666664 + z * even);
  double half = 0.5 * z;
  double one = 1.0 - half;
  double s = r + (r * odd + rest * one);
  double c = one + (((1.0 - one) - half) + (even - r * rest));
  double quarter = k - 4.0 * floor(k * 0.25);
  bool turned = quarter == 1.0 || quarter == 3.0;
  double sine = turned ? c : s, cosine = turned ? s : c;
  Sines both = {quarter >= 2.0 ? -sine : sine, quarter == 1.0 || quarter == 2.0 ? -cosine : cosine};
  return both;
}

INLINE double world_bound(double x, double low, double high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

INLINE double world_single(double x) { return (double)(float)x; }

INLINE u64 world_mix(u64 z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// The uniform number j of an episode, between two limits: draws.
INLINE double world_drawn(u64 seed, u64 number, u64 j, double low, double high) {
  u64 key = world_mix(seed << 32 | number);
  double chance = (double)(world_mix(key + (j + 1) * 0x9E3779B97F4A7C15ull) >> 11) * 1.1102230246251565e-16;
  return low + (high - low) * chance;
}

INLINE void world_clear(double *row) {
#pragma unroll
  for (int i = 0; i < 8; ++i) row[i] = 0.0;
}

#if WORLD == 0  // CartPole-v1

INLINE void world_see(const double *state, double *out) {
#pragma unroll
  for (int i = 0; i < 4; ++i) out[i] = world_single(state[i]);
}

INLINE void world_begin(u64 seed, u64 number, double *state) {
#pragma unroll
  for (u64 j = 0; j < 4; ++j) state[j] = world_drawn(seed, number, j, -0.05, 0.05);
}

INLINE void world_advance(double *state, double action, double *out) {
  double x = state[0], speed = state[1], angle = state[2], turning = state[3];
  double force = action == 1.0 ? 10.0 : -10.0;
  double mass = 0.1 + 1.0, length = 0.1 * 0.5;
  Sines a = world_sines(angle);
  double temp = (force + length * (turning * turning) * a.s) / mass;
  double bend = (9.8 * a.s - a.c * temp) / (0.5 * (4.0 / 3.0 - 0.1 * (a.c * a.c) / mass));
  double push = temp - length * bend * a.c / mass;
  x = x + 0.02 * speed;
  speed = speed + 0.02 * push;
  angle = angle + 0.02 * turning;
  turning = turning + 0.02 * bend;
  double limit = 12 * 2 * WORLD_PI / 360;
  state[0] = x;
  state[1] = speed;
  state[2] = angle;
  state[3] = turning;
  out[6] = 1.0;
  out[7] = x < -2.4 || x > 2.4 || angle < -limit || angle > limit ? 1.0 : 0.0;
}

#elif WORLD == 1  // MountainCar-v0

INLINE void world_see(const double *state, double *out) {
  out[0] = world_single(state[0]);
  out[1] = world_single(state[1]);
}

INLINE void world_begin(u64 seed, u64 number, double *state) { state[0] = world_drawn(seed, number, 0, -0.6, -0.4); }

INLINE void world_advance(double *state, double action, double *out) {
  double place = state[0], speed = state[1];
  speed = world_bound(speed + ((action - 1.0) * 0.001 + world_sines(3.0 * place).c * -0.0025), -0.07, 0.07);
  place = world_bound(place + speed, -1.2, 0.6);
  speed = place == -1.2 && speed < 0.0 ? 0.0 : speed;
  state[0] = place;
  state[1] = speed;
  out[6] = -1.0;
  out[7] = place >= 0.5 && speed >= 0.0 ? 1.0 : 0.0;
}

#elif WORLD == 2  // MountainCarContinuous-v0

INLINE void world_see(const double *state, double *out) {
  out[0] = world_single(state[0]);
  out[1] = world_single(state[1]);
}

INLINE void world_begin(u64 seed, u64 number, double *state) {
  state[0] = world_drawn(seed, number, 0, -0.6, -0.4);
  state[2] = 1.0;
}

INLINE void world_advance(double *state, double action, double *out) {
  double place = state[0], speed = state[1];
  bool fresh = state[2] == 1.0, beyond = action < -1.0 || action > 1.0;
  double most = fresh ? 0.07 : (double)0.07f, left = fresh ? -1.2 : (double)-1.2f, right = fresh ? 0.6 : (double)0.6f;
  double thrice = 3.0 * place;
  double pull = 0.0025 * world_sines(fresh ? thrice : world_single(thrice)).c;
  double open = world_bound(action, -1.0, 1.0) * 0.0015 - pull;
  double gain = fresh ? open : world_single(open);
  gain = beyond ? gain : world_single(world_single(action * (double)0.0015f) - world_single(pull));
  speed = speed + gain;
  speed = world_bound(fresh ? speed : world_single(speed), -most, most);
  place = place + speed;
  place = world_bound(fresh ? place : world_single(place), left, right);
  speed = place == left && speed < 0.0 ? 0.0 : speed;
  bool there = place >= (fresh ? 0.45 : (double)0.45f) && speed >= 0.0;
  state[0] = world_single(place);
  state[1] = world_single(speed);
  state[2] = 0.0;
  out[6] = (there ? 100.0 : 0.0) - action * action * 0.1;
  out[7] = there ? 1.0 : 0.0;
}

#elif WORLD == 3  // Acrobot-v1

// The angles or speeds of both joints.
struct Joints {
  double a, b;
};

INLINE void world_see(const double *state, double *out) {
  Sines a = world_sines(state[0]), b = world_sines(state[1]);
  out[0] = world_single(a.c);
  out[1] = world_single(a.s);
  out[2] = world_single(b.c);
  out[3] = world_single(b.s);
  out[4] = world_single(state[2]);
  out[5] = world_single(state[3]);
}

INLINE void world_begin(u64 seed, u64 number, double *state) {
#pragma unroll
  for (u64 j = 0; j < 4; ++j) state[j] = world_single(world_drawn(seed, number, j, -0.1, 0.1));
}

INLINE Joints world_bend(Joints at, Joints speed, double torque) {
  double weight1 = (1.0 * 0.5 + 1.0 * 1.0) * 9.8, weight2 = 1.0 * 0.5 * 9.8;
  Sines b = world_sines(at.b);
  double d1 = 0.25 + (1.25 + b.c) + 1.0 + 1.0;
  double d2 = 0.25 + 0.5 * b.c + 1.0;
  double phi2 = weight2 * world_sines(at.a + at.b - WORLD_PI / 2.0).c;
  double phi1 = -0.5 * (speed.b * speed.b) * b.s - speed.b * speed.a * b.s +
                weight1 * world_sines(at.a - WORLD_PI / 2.0).c + phi2;
  double ddb =
      (torque + d2 / d1 * phi1 - 0.5 * (speed.a * speed.a) * b.s - phi2) / (1.25 - d2 * d2 / d1);
  Joints bent = {-(d2 * ddb + phi1) / d1, ddb};
  return bent;
}

INLINE Joints world_along(Joints from, double time, Joints rate) {
  Joints there = {from.a + time * rate.a, from.b + time * rate.b};
  return there;
}

INLINE double world_wrap(double x) {
  double turn = WORLD_PI - -WORLD_PI;
#pragma unroll 1
  for (int i = 0; i < 64 && x > WORLD_PI; ++i) x = x - turn;
#pragma unroll 1
  for (int i = 0; i < 64 && x < -WORLD_PI; ++i) x = x + turn;
  return x;
}

INLINE void world_advance(double *state, double action, double *out) {
  double torque = action - 1.0, half = 0.2 / 2.0, sixth = 0.2 / 6.0;
  Joints at = {state[0], state[1]}, speed = {state[2], state[3]};
  // Four stages of Runge and Kutta, weighed 1, 2, 2, 1; a loop, as unrolled they would take too many registers.
  Joints here = at, rate = speed, angles = speed, speeds = speed;
#pragma unroll 1
  for (int stage = 0; stage < 4; ++stage) {
    Joints bend = world_bend(here, rate, torque);
    double weight = stage == 1 || stage == 2 ? 2.0 : 1.0, time = stage == 2 ? 0.2 : half;
    if (stage == 0) {
      angles = rate;
      speeds = bend;
    } else {
      angles = world_along(angles, weight, rate);
      speeds = world_along(speeds, weight, bend);
    }
    here = world_along(at, time, rate);
    rate = world_along(speed, time, bend);
  }
  at = world_along(at, sixth, angles);
  speed = world_along(speed, sixth, speeds);
  state[0] = at.a = world_wrap(at.a);
  state[1] = at.b = world_wrap(at.b);
  state[2] = world_bound(speed.a, -(4 * WORLD_PI), 4 * WORLD_PI);
  state[3] = world_bound(speed.b, -(9 * WORLD_PI), 9 * WORLD_PI);
  bool high = -world_sines(at.a).c - world_sines(at.b + at.a).c > 1.0;
  out[6] = high ? 0.0 : -1.0;
  out[7] = high ? 1.0 : 0.0;
}

#elif WORLD == 4  // Pendulum-v1

INLINE void world_see(const double *state, double *out) {
  Sines a = world_sines(state[0]);
  out[0] = world_single(a.c);
  out[1] = world_single(a.s);
  out[2] = world_single(state[1]);
}

INLINE void world_begin(u64 seed, u64 number, double *state) {
  state[0] = world_drawn(seed, number, 0, -WORLD_PI, WORLD_PI);
  state[1] = world_drawn(seed, number, 1, -1.0, 1.0);
}

INLINE double world_normalized(double angle) {
  double x = angle + WORLD_PI, turn = WORLD_PI - -WORLD_PI;
  double size = x < 0.0 ? -x : x;
  double turns = floor(size / turn);
  double rest = size - turns * 6.2831853069365025 - turns * 2.430837753308879e-10;
  rest = rest < 0.0 ? rest + turn : rest;
  rest = x < 0.0 && rest > 0.0 ? turn - rest : rest;
  return rest - WORLD_PI;
}

INLINE void world_advance(double *state, double action, double *out) {
  double angle = state[0], speed = state[1];
  double torque = world_bound(action, -2.0, 2.0), lean = world_normalized(angle);
  double cost = lean * lean + 0.1 * (speed * speed) + world_single((double)0.001f * world_single(torque * torque));
  speed = world_bound(speed + (15.0 * world_sines(angle).s + world_single(3.0 * torque)) * 0.05, -8.0, 8.0);
  state[0] = angle + speed * 0.05;
  state[1] = speed;
  out[6] = -cost;
  out[7] = 0.0;
}

#else
#error "WORLD must be the number of a world, 0..4"
#endif

// Begin episode `number` of stream `seed`, both below 2**32: eight doubles of state, eight of what is seen; out[6] and
// out[7] are 0.
INLINE void world_start(u64 seed, u64 number, double *state, double *out) {
  world_clear(state);
  world_clear(out);
  world_begin(seed, number, state);
  world_see(state, out);
}

// One step, the state changed in place: what is seen in out[0..5], the reward in out[6], 1.0 in out[7] if the episode
// terminated.
INLINE void world_step(double *state, double action, double *out) {
  world_clear(out);
  world_advance(state, action, out);
  world_see(state, out);
}
