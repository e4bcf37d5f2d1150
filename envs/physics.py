"""The physics of five tasks over columns: one step each, what is seen, and where episodes begin.

Facts and the order of operations are those of Gymnasium 1.4 (gymnasium/envs/classic_control), where the equations'
sources are named; only sine and cosine are our own. A column is a float64 array with one number for each environment,
or a single number where the text is compiled. A step takes the state's columns and the action and gives the new
columns, the reward and whether the episode terminated; a reward that never varies is a plain number.
"""

import math
from typing import Any

import numpy as np

from hebbit.envs.columns import select, single, some
from hebbit.envs.sine import cosine, sine, sine_and_cosine

PI = math.pi


def bound(x: Any, low: Any, high: Any) -> Any:
    """A column held between two limits, which are in order."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


# CartPole-v1: the equations of motion of Florian (2007), Euler's method.
GRAVITY, TOTAL_MASS, POLE_MASS, POLE_HALF = 9.8, 0.1 + 1.0, 0.1, 0.5
POLE_MASS_LENGTH = POLE_MASS * POLE_HALF
PUSH, TAU = 10.0, 0.02
FOUR_THIRDS = 4.0 / 3.0
ANGLE_LIMIT, CART_LIMIT = 12 * 2 * PI / 360, 2.4


def cartpole_step(x: Any, speed: Any, angle: Any, turning: Any, action: Any) -> Any:
    """One step of the cart (m, m/s) and its pole (rad, rad/s); action 0 pushes left, 1 right."""
    force = select(action == 1.0, PUSH, -PUSH)
    s, c = sine_and_cosine(angle)
    temp = (force + POLE_MASS_LENGTH * (turning * turning) * s) / TOTAL_MASS
    bend = (GRAVITY * s - c * temp) / (POLE_HALF * (FOUR_THIRDS - POLE_MASS * (c * c) / TOTAL_MASS))
    push = temp - POLE_MASS_LENGTH * bend * c / TOTAL_MASS
    x, speed = x + TAU * speed, speed + TAU * push
    angle, turning = angle + TAU * turning, turning + TAU * bend
    fallen = (x < -CART_LIMIT) | (x > CART_LIMIT) | (angle < -ANGLE_LIMIT) | (angle > ANGLE_LIMIT)
    return x, speed, angle, turning, 1.0, fallen


def cartpole_see(x: Any, speed: Any, angle: Any, turning: Any) -> Any:
    """The state itself."""
    return x, speed, angle, turning


def cartpole_begin(x: Any, speed: Any, angle: Any, turning: Any) -> Any:
    """All four are drawn."""
    return x, speed, angle, turning


# MountainCar-v0: Moore (1990).
LEFT_END, RIGHT_END, MOST_SPEED = -1.2, 0.6, 0.07
GOAL, FORCE, PULL = 0.5, 0.001, 0.0025


def mountain_step(place: Any, speed: Any, action: Any) -> Any:
    """One step of the car (position, velocity); action 0 pushes left, 1 not at all, 2 right."""
    speed = bound(speed + ((action - 1.0) * FORCE + cosine(3.0 * place) * -PULL), -MOST_SPEED, MOST_SPEED)
    place = bound(place + speed, LEFT_END, RIGHT_END)
    speed = select((place == LEFT_END) & (speed < 0.0), 0.0, speed)
    return place, speed, -1.0, (place >= GOAL) & (speed >= 0.0)


def mountain_see(place: Any, speed: Any) -> Any:
    """The state itself."""
    return place, speed


def mountain_begin(place: Any) -> Any:
    """The position is drawn; the car stands."""
    return place, 0.0


# MountainCarContinuous-v0. Its state is in doubles when an episode begins and in single precision after one step.
POWER, REACH = 0.0015, 0.45
SINGLE_POWER, SINGLE_REACH = float(np.float32(POWER)), float(np.float32(REACH))
SINGLE_LEFT, SINGLE_RIGHT = float(np.float32(LEFT_END)), float(np.float32(RIGHT_END))
SINGLE_SPEED = float(np.float32(MOST_SPEED))


def slope_step(place: Any, speed: Any, fresh: Any, action: Any) -> Any:
    """One step of the car (position, velocity, 1 if no step was made yet); the action is a push of -1..1.

    NumPy rounds a plain number to single precision before it meets a single-precision one, thresholds included; an
    action beyond the bounds is replaced by a plain number, one within is of single precision. The reward pays for the
    action as it was given.
    """
    new = fresh == 1.0
    most = select(new, MOST_SPEED, SINGLE_SPEED)
    left, right = select(new, LEFT_END, SINGLE_LEFT), select(new, RIGHT_END, SINGLE_RIGHT)
    thrice = 3.0 * place
    pull = PULL * cosine(select(new, thrice, single(thrice)))
    free = bound(action, -1.0, 1.0) * POWER - pull
    gain = select(new, free, single(free))
    gain = select((action < -1.0) | (action > 1.0), gain, single(single(action * SINGLE_POWER) - single(pull)))
    speed = speed + gain
    speed = bound(select(new, speed, single(speed)), -most, most)
    place = place + speed
    place = bound(select(new, place, single(place)), left, right)
    speed = select((place == left) & (speed < 0.0), 0.0, speed)
    there = (place >= select(new, REACH, SINGLE_REACH)) & (speed >= 0.0)
    reward = select(there, 100.0, 0.0) - action * action * 0.1
    return single(place), single(speed), 0.0, reward, there


def slope_see(place: Any, speed: Any, fresh: Any) -> Any:
    """Position and velocity."""
    return place, speed


def slope_begin(place: Any) -> Any:
    """The position is drawn; the car stands, and no step was made."""
    return place, 0.0, 1.0


# Acrobot-v1: Sutton and Barto (2018), the book's equations; links of 1 m and 1 kg, centres of mass halfway.
STEP, HALF_STEP, SIXTH_STEP = 0.2, 0.2 / 2.0, 0.2 / 6.0
MOST_TURN_1, MOST_TURN_2 = 4 * PI, 9 * PI
TURN, QUARTER_TURN = PI - -PI, PI / 2.0
WEIGHT_1, WEIGHT_2 = (1.0 * 0.5 + 1.0 * 1.0) * GRAVITY, 1.0 * 0.5 * GRAVITY
MOST_WRAPS = 64
"""Turns that an angle is brought back by. From limited speeds one step turns a joint by 39 at the very most: a rate of
change of a rad/s^2 that grows with the square of the speed, followed through the four stages of the step."""


def acrobot_bend(a: Any, b: Any, da: Any, db: Any, torque: Any) -> Any:
    """Angular accelerations (rad/s^2) of both joints; their velocities are the other half of the derivative."""
    sb, cb = sine_and_cosine(b)
    d1 = 0.25 + (1.25 + cb) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cb + 1.0
    phi2 = WEIGHT_2 * cosine(a + b - QUARTER_TURN)
    phi1 = -0.5 * (db * db) * sb - db * da * sb + WEIGHT_1 * cosine(a - QUARTER_TURN) + phi2
    ddb = (torque + d2 / d1 * phi1 - 0.5 * (da * da) * sb - phi2) / (1.25 - d2 * d2 / d1)
    dda = -(d2 * ddb + phi1) / d1
    return dda, ddb


def wrap(x: Any) -> Any:
    """An angle brought into -pi..pi by whole turns, one after the other as each is rounded by itself."""
    for _ in range(MOST_WRAPS):
        above = x > PI
        if not some(above):
            break
        x = select(above, x - TURN, x)
    for _ in range(MOST_WRAPS):
        under = x < -PI
        if not some(under):
            break
        x = select(under, x + TURN, x)
    return x


def acrobot_step(a: Any, b: Any, da: Any, db: Any, action: Any) -> Any:
    """One step of both joints (rad, rad, rad/s, rad/s) by Runge and Kutta's method of fourth order.

    Actions 0, 1 and 2 put a torque of -1, 0 and 1 N m on the joint between the links.
    """
    torque = action - 1.0
    a2, b2 = acrobot_bend(a, b, da, db, torque)
    da2, db2 = da + HALF_STEP * a2, db + HALF_STEP * b2
    a3, b3 = acrobot_bend(a + HALF_STEP * da, b + HALF_STEP * db, da2, db2, torque)
    da3, db3 = da + HALF_STEP * a3, db + HALF_STEP * b3
    a4, b4 = acrobot_bend(a + HALF_STEP * da2, b + HALF_STEP * db2, da3, db3, torque)
    da4, db4 = da + STEP * a4, db + STEP * b4
    a5, b5 = acrobot_bend(a + STEP * da3, b + STEP * db3, da4, db4, torque)
    a = wrap(a + SIXTH_STEP * (da + 2.0 * da2 + 2.0 * da3 + da4))
    b = wrap(b + SIXTH_STEP * (db + 2.0 * db2 + 2.0 * db3 + db4))
    da = bound(da + SIXTH_STEP * (a2 + 2.0 * a3 + 2.0 * a4 + a5), -MOST_TURN_1, MOST_TURN_1)
    db = bound(db + SIXTH_STEP * (b2 + 2.0 * b3 + 2.0 * b4 + b5), -MOST_TURN_2, MOST_TURN_2)
    high = -cosine(a) - cosine(b + a) > 1.0
    return a, b, da, db, select(high, 0.0, -1.0), high


def acrobot_see(a: Any, b: Any, da: Any, db: Any) -> Any:
    """Cosine and sine of both angles, and the speeds."""
    sa, ca = sine_and_cosine(a)
    sb, cb = sine_and_cosine(b)
    return ca, sa, cb, sb, da, db


def acrobot_begin(a: Any, b: Any, da: Any, db: Any) -> Any:
    """All four are drawn and rounded to single precision."""
    return single(a), single(b), single(da), single(db)


# Pendulum-v1: a rod of 1 m and 1 kg; torque in single precision.
FASTEST, STRONGEST, MOMENT = 8.0, 2.0, 0.05
SINGLE_COST = float(np.float32(0.001))
# 2 pi in two parts of 33 and 20 bits, so that their products with whole numbers are exact.
TURN_HEAD, TURN_TAIL = 6.2831853069365025, 2.430837753308879e-10


def normalized(angle: Any) -> Any:
    """An angle brought into -pi..pi: (angle + pi) modulo 2 pi, without the error of a product, minus pi."""
    x = angle + PI
    size = select(x < 0.0, -x, x)
    turns = np.floor(size / TURN)
    rest = size - turns * TURN_HEAD - turns * TURN_TAIL
    # the quotient may have been rounded up to a whole number
    rest = select(rest < 0.0, rest + TURN, rest)
    rest = select((x < 0.0) & (rest > 0.0), TURN - rest, rest)
    return rest - PI


def pendulum_step(angle: Any, speed: Any, action: Any) -> Any:
    """One step of the rod (rad from upright, rad/s); the action is a torque of -2..2 N m."""
    torque = bound(action, -STRONGEST, STRONGEST)
    lean = normalized(angle)
    cost = lean * lean + 0.1 * (speed * speed) + single(SINGLE_COST * single(torque * torque))
    speed = bound(speed + (15.0 * sine(angle) + single(3.0 * torque)) * MOMENT, -FASTEST, FASTEST)
    return angle + speed * MOMENT, speed, -cost, False


def pendulum_see(angle: Any, speed: Any) -> Any:
    """Cosine and sine of the angle, and the speed."""
    s, c = sine_and_cosine(angle)
    return c, s, speed


def pendulum_begin(angle: Any, speed: Any) -> Any:
    """Both are drawn."""
    return angle, speed
