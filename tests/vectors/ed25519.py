"""Ed25519 (RFC 8032) in its simplest form: affine points and big integers. For generating vectors only: it is
slow, and not safe for real keys.
"""

import functools
import hashlib

P = 2**255 - 19
# The order of the base point.
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1)


def add(a, b):
    """Returns the sum of two points of -x^2 + y^2 = 1 + D x^2 y^2. The addition law is complete on this curve."""
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P
    return x, y


def times(n, point):
    total = NEUTRAL
    while n:
        if n & 1:
            total = add(total, point)
        point = add(point, point)
        n >>= 1
    return total


def negative(point):
    return -point[0] % P, point[1]


def encode(point):
    """Encodes a point: y in 255 bits, little-endian, and the lowest bit of x above them."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    """Decodes a point; None if the curve has none at this y."""
    number = int.from_bytes(data, "little")
    y, odd = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    # P is 5 modulo 8, so this is a root or a root of the negative.
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (-x % P if x & 1 != odd else x), y % P


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
assert times(L, BASE) == NEUTRAL


def digest(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def expand(seed):
    """Returns the secret scalar of a seed, and the prefix from which its nonces are derived."""
    hashed = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(hashed[:32], "little")
    return scalar & ~7 & (2**254 - 1) | 2**254, hashed[32:]


@functools.cache
def public_key(seed):
    return encode(times(expand(seed)[0], BASE))


@functools.cache
def sign(seed, message):
    scalar, prefix = expand(seed)
    nonce = digest(prefix, message) % L
    return finish(scalar, nonce, public_key(seed), message)


def finish(scalar, nonce, public, message):
    """Returns the signature with a nonce. The public key is an argument, because some vectors use a wrong one."""
    r = encode(times(nonce, BASE))
    s = (nonce + digest(r, public, message) * scalar) % L
    return r + s.to_bytes(32, "little")


@functools.cache
def torsion():
    """Returns a point of order 8."""
    y = 2
    while True:
        point = decode(y.to_bytes(32, "little"))
        small = point and times(L, point)
        if small and times(4, small) != NEUTRAL:
            return small
        y += 1
