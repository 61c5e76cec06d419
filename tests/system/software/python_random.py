"""Python's generator of random numbers and its distributions; run by python.sh."""
import hashlib, random

r = random.Random(20)
print(hashlib.sha256(r.randbytes(300000)).hexdigest(), r.getrandbits(400))
for name, args in (("random", ()), ("gauss", (0, 1)), ("normalvariate", (1, 2)), ("expovariate", (3,)),
                   ("gammavariate", (0.7, 2)), ("gammavariate", (3.1, 2)), ("betavariate", (2, 5)),
                   ("vonmisesvariate", (1, 4)), ("paretovariate", (3,)), ("weibullvariate", (1, 1.5)),
                   ("lognormvariate", (0, 0.25)), ("triangular", (0, 10, 3)), ("randrange", (10**30,))):
    values = [getattr(r, name)(*args) for _ in range(3000)]
    print(name, args, values[-1], hashlib.sha256(repr(values).encode()).hexdigest())
line = list(range(5000))
r.shuffle(line)
print(hashlib.sha256(repr(line).encode()).hexdigest(), r.sample(line, 10), r.choices(line, range(5000), k=10))
