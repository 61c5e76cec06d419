"""What python3 computes, in many kinds; run by python.sh."""
import array, bisect, cmath, collections, decimal, fractions, functools, hashlib, hmac, itertools, json
import math, operator, os, re, statistics, struct, sys, zlib, binascii, base64, datetime, unicodedata, heapq, textwrap

FULL = bool(os.environ.get("FULL"))
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, 1e-310, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
           float("inf"), float("-inf"), float("nan"), math.pi, math.e, 1e22, 1e23, 123456789.123456789, 2**53, 2**63]


class Lcg:
    """Numbers that need no library."""

    def __init__(self, seed):
        self.x = seed

    def next(self):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return self.x

    def double(self):
        return struct.unpack("<d", struct.pack("<Q", self.next() ^ self.x >> 29))[0]


def attempt(function, *args):
    try:
        value = function(*args)
    except (ArithmeticError, ValueError) as error:
        return type(error).__name__
    return value.hex() if isinstance(value, float) else repr(value)


def digest(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def floats():
    lcg = Lcg(1)
    values = SPECIAL + [lcg.double() for _ in range(20000 if FULL else 2000)]
    print("repr", digest(map(repr, values)), [repr(v) for v in values[:40]])
    print("back", all(v != v or float(repr(v)) == v for v in values))
    print("hex", digest(float(v).hex() for v in values))
    for spec in "%.3f %.17e %g %.0f %a %25.10g".split():
        print(spec, digest((spec % v) if spec != "%a" else "%a" % (v,) for v in values))
    print("round", digest(attempt(round, v, n) for v in values for n in (0, 2, -3)))
    print("int", digest(attempt(int, v) for v in values))
    print("ratio", digest(attempt(float.as_integer_ratio, float(v)) for v in values))
    pairs = list(zip(values, values[1:] + values[:1]))
    for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, divmod,
               operator.lt, operator.eq, math.fmod, math.remainder, math.atan2, math.hypot, math.copysign, math.nextafter):
        print(op.__name__, digest(attempt(op, a, b) for a, b in pairs))
    print("pow", digest(attempt(math.pow, abs(a) % 1000, b % 50) for a, b in pairs if b == b and abs(b) < 1e300))
    small = [math.ldexp(int(lcg.next() >> 11) - 2**52, -(50 + i % 40)) for i in range(10000 if FULL else 1000)]
    for name in ("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp exp2 expm1 log log2 log10 log1p "
                 "sqrt cbrt erf erfc gamma lgamma floor ceil trunc frexp modf ulp").split():
        function = getattr(math, name)
        print(name, digest(attempt(function, v) for v in SPECIAL + small), attempt(function, 0.7))
    for name in "sin cos tan exp log sqrt asin acos atan tanh phase polar".split():
        function = getattr(cmath, name)
        print("c" + name, digest(attempt(function, complex(a, b)) for a, b in zip(small, small[7:])))
    print("fsum", math.fsum(small).hex(), sum(small).hex(), math.prod(1 + abs(v) for v in small[:300]).hex())
    print("statistics", statistics.fmean(small).hex(), statistics.stdev(small[:500]).hex(), statistics.median(small).hex())


def integers():
    sys.set_int_max_str_digits(0)
    lcg = Lcg(2)
    big = [functools.reduce(lambda a, _: a << 64 | lcg.next(), range(n), 1) for n in (1, 2, 3, 7, 16, 40, 100, 300)]
    for a in big:
        print(digest(str(f(a, b)) for b in big for f in (operator.add, operator.sub, operator.mul, operator.floordiv,
                                                        operator.mod, operator.xor, math.gcd)))
    print(digest(str(pow(a, 65537, b)) for a in big[:6] for b in big[:6]), pow(3, -1, 2**127 - 1))
    print(digest([str(math.factorial(1000)), str(2**9941 - 1), str(math.isqrt(big[-1])), str(math.comb(500, 200))]))
    print(int(str(7**2000)) == 7**2000, hex(big[4]), big[2].bit_count(), (-big[3]) >> 77 & 0xFFFFFFFF)
    print([str(n) for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))][-5:])
    small = [lcg.next() >> lcg.next() % 64 for _ in range(20000)]
    print(digest(str(a // (b or 1) ^ a % (b or 1) ^ a * b) for a, b in zip(small, small[1:])))


def decimals():
    decimal.getcontext().prec = 300
    two = decimal.Decimal(2)
    print(two.sqrt(), two.ln(), decimal.Decimal(1).exp(), (two / 7) ** decimal.Decimal("1.5"))
    print(sum((fractions.Fraction(1, n) for n in range(1, 200)), fractions.Fraction()))
    print(digest(str(decimal.Decimal(v)) for v in SPECIAL), round(decimal.Decimal("2.675"), 2))


def bytes_and_text():
    data = open("/work/data/random", "rb").read()
    text = open("/work/data/m100000", "rb").read()
    for name in sorted(hashlib.algorithms_guaranteed):
        h = hashlib.new(name)
        for part in (data[:1], data[1:1000], data[1000:], text):
            h.update(part)
        print(name, h.hexdigest(40) if name.startswith("shake") else h.hexdigest())
    print(hmac.new(b"yoke", data, "sha256").hexdigest(), hashlib.pbkdf2_hmac("sha1", b"a", b"b", 1000).hex())
    print(zlib.crc32(data), zlib.adler32(data), binascii.crc_hqx(data[:70001], 0))
    for level in (1, 6, 9):
        for wbits in (15, -9, 31):
            packer = zlib.compressobj(level, zlib.DEFLATED, wbits)
            packed = packer.compress(text * 3 + data[:100000]) + packer.flush()
            print(level, wbits, len(packed), hashlib.sha256(packed).hexdigest(), len(zlib.decompress(packed, wbits)))
    print(base64.b85encode(data[:200]), binascii.hexlify(data[:50]), hashlib.md5(base64.b64encode(data)).hexdigest())
    for form in "<bBhHiIqQ >bBhHiIqQ <fd >fd <e".split():
        size = struct.calcsize(form)
        print(form, digest(repr(struct.unpack_from(form, data, i * size)) for i in range(500)))
    for kind in "bBhHiIqQfd":
        values = array.array(kind, data[:80000])
        values.byteswap()
        print(kind, repr(values[17]), hashlib.sha1(values.tobytes()).hexdigest(), digest(map(repr, sorted(
            v for v in values if v == v))))
    words = re.findall(r"[A-Za-z]{3,}", text.decode("latin-1"))
    common = collections.Counter(words).most_common(30)
    print(sorted(common), len(re.sub(r"(\w)(\w)", r"\2\1", text.decode("latin-1"))))
    print(unicodedata.normalize("NFKD", "Ærøskøbing ﬁ ½ Å"), "straße".upper().casefold(), "naïve".encode("utf-16-le").hex())
    tree = {w: [i, i / 7, {"x": w[::-1], "y": None}] for i, w in enumerate(words[:2000])}
    flat = json.dumps(tree, sort_keys=True)
    print(hashlib.sha256(flat.encode()).hexdigest(), json.loads(flat) == tree)
    print(digest(textwrap.wrap(text.decode("latin-1")[:20000], 61)), digest(sorted(words, key=lambda w: (w[1:], w))))


def structures():
    lcg = Lcg(3)
    heap, out, line = [], [], []
    for _ in range(5000):
        value = lcg.next() % 100003
        heapq.heappush(heap, value)
        bisect.insort(line, value)
        if value % 3 == 0:
            out.append(heapq.heappop(heap))
    print(digest(map(str, out)), digest(map(str, line)))
    day = datetime.date(2000, 1, 1)
    print([str(day + datetime.timedelta(days=n * 97)) for n in range(20)], (day - datetime.date(1583, 1, 1)).days)
    print(len(list(itertools.permutations(range(7)))), sum(1 for p in itertools.product(range(6), repeat=5) if sum(p) == 9))
    matrix = [[((i * j) % 17) / 3 + i for j in range(40)] for i in range(40)]
    for _ in range(5):
        matrix = [[math.fsum(a * b for a, b in zip(r, c)) / 1000 for c in zip(*matrix)] for r in matrix]
    print(digest(v.hex() for row in matrix for v in row))
    steps = max(range(1, 3000), key=lambda n: len(list(collatz(n))))
    print(steps, list(collatz(steps))[:10])


def collatz(n):
    while n != 1:
        yield n
        n = n // 2 if n % 2 == 0 else 3 * n + 1


floats()
integers()
decimals()
bytes_and_text()
structures()
