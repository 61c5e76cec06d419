/*
 * test_crypto.c - AES, carry-less multiplication, SHA and GF(2^8): the examples of FIPS 197, FIPS 180-4 and
 * the manuals, and the portable operations against the host's instructions.
 */
#include "cpu/interp/crypto.h"
#include "tests/unit/cpu_rig.h"

static v128 from_bytes(const uint8_t bytes[16])
{
    v128 v;

    memcpy(&v, bytes, sizeof(v));
    return v;
}

static void bytes_are(v128 v, const char *hex)
{
    for (unsigned n = 0; n < 16; n++) {
        unsigned byte;

        ck_assert_int_eq(sscanf(hex + 2 * n, "%2x", &byte), 1);
        ck_assert_msg(((union vec){.v = v}).u8[n] == byte, "byte %u is %02x, not %02x", n,
                      ((union vec){.v = v}).u8[n], byte);
    }
}

static v128 hex(const char *text)
{
    uint8_t bytes[16];

    for (unsigned n = 0; n < 16; n++) {
        unsigned byte;

        sscanf(text + 2 * n, "%2x", &byte);
        bytes[n] = (uint8_t)byte;
    }
    return from_bytes(bytes);
}

/* --- AES ----------------------------------------------------------------------------------------- */

/* The next round key from AESKEYGENASSIST's answer: each word adds the one before it. */
static v128 next_key(v128 key, v128 assist)
{
    union vec k = {.v = key}, a = {.v = assist};

    for (unsigned n = 0; n < 4; n++)
        k.u32[n] ^= n ? k.u32[n - 1] : a.u32[3];
    return k.v;
}

static void expand(v128 key, v128 keys[11])
{
    unsigned constant = 1;

    keys[0] = key;
    for (unsigned n = 1; n < 11; n++) {
        keys[n] = next_key(keys[n - 1], portable_aeskeygenassist(keys[n - 1], constant));
        constant = constant << 1 ^ (constant & 0x80 ? 0x11b : 0);
    }
}

/* FIPS 197 appendix A.1 */
START_TEST(aes_key_expansion)
{
    v128 keys[11];

    expand(hex("2b7e151628aed2a6abf7158809cf4f3c"), keys);
    bytes_are(keys[1], "a0fafe1788542cb123a339392a6c7605");
    bytes_are(keys[9], "ac7766f319fadc2128d12941575c006e");
    bytes_are(keys[10], "d014f9a8c9ee2589e13f0cc8b6630ca6");
}
END_TEST

/* FIPS 197 appendix C.1, there and back by the equivalent inverse cipher (5.3.5) */
START_TEST(aes_cipher)
{
    v128 keys[11], state;

    expand(hex("000102030405060708090a0b0c0d0e0f"), keys);
    state = hex("00112233445566778899aabbccddeeff") ^ keys[0];
    for (unsigned n = 1; n < 10; n++)
        state = portable_aesenc(state, keys[n]);
    state = portable_aesenclast(state, keys[10]);
    bytes_are(state, "69c4e0d86a7b0430d8cdb78070b4c55a");

    state ^= keys[10];
    for (unsigned n = 9; n > 0; n--)
        state = portable_aesdec(state, portable_aesimc(keys[n]));
    state = portable_aesdeclast(state, keys[0]);
    bytes_are(state, "00112233445566778899aabbccddeeff");
}
END_TEST

/* --- SHA ----------------------------------------------------------------------------------------- */

/* The manual's dwords from the top down. */
static v128 words(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return ((union vec){.u32 = {d, c, b, a}}).v;
}

/* "abc" as one padded block (FIPS 180-4; the example of RFC 3174). */
START_TEST(sha1_of_abc)
{
    v128 w[20], abcd = words(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476), start = abcd;
    v128 e = words(0xc3d2e1f0, 0, 0, 0), start_e = e;
    union vec r, last;

    w[0] = words(0x61626380, 0, 0, 0);
    w[1] = w[2] = words(0, 0, 0, 0);
    w[3] = words(0, 0, 0, 24);
    for (unsigned n = 4; n < 20; n++)
        w[n] = portable_sha1msg2(portable_sha1msg1(w[n - 4], w[n - 3]) ^ w[n - 2], w[n - 1]);
    for (unsigned n = 0; n < 20; n++) {
        v128 before = abcd;
        union vec sum = {.v = w[n]};

        if (n == 0)
            sum.u32[3] += ((union vec){.v = e}).u32[3];
        abcd = portable_sha1rnds4(abcd, n == 0 ? sum.v : portable_sha1nexte(e, w[n]), n / 5);
        e = before;
    }
    r.v = abcd;
    for (unsigned n = 0; n < 4; n++)
        r.u32[n] += ((union vec){.v = start}).u32[n];
    last.v = portable_sha1nexte(e, start_e);
    ck_assert_uint_eq(r.u32[3], 0xa9993e36);
    ck_assert_uint_eq(r.u32[2], 0x4706816a);
    ck_assert_uint_eq(r.u32[1], 0xba3e2571);
    ck_assert_uint_eq(r.u32[0], 0x7850c26c);
    ck_assert_uint_eq(last.u32[3], 0x9cd0d89d);
}
END_TEST

static const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* Four words from one place on in two registers. */
static v128 words_from(v128 low, v128 high, unsigned n)
{
    union vec l = {.v = low}, h = {.v = high}, r;

    for (unsigned k = 0; k < 4; k++)
        r.u32[k] = n + k < 4 ? l.u32[n + k] : h.u32[n + k - 4];
    return r.v;
}

START_TEST(sha256_of_abc)
{
    static const uint32_t digest[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                       0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    v128 w[16], abef = words(0x6a09e667, 0xbb67ae85, 0x510e527f, 0x9b05688c);
    v128 cdgh = words(0x3c6ef372, 0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    union vec top = {.v = abef}, low = {.v = cdgh}, ab, cd;

    w[0] = words(0, 0, 0, 0x61626380);
    w[1] = w[2] = words(0, 0, 0, 0);
    w[3] = words(24, 0, 0, 0);
    for (unsigned n = 4; n < 16; n++) {
        union vec sum = {.v = portable_sha256msg1(w[n - 4], w[n - 3])},
                  add = {.v = words_from(w[n - 2], w[n - 1], 1)};

        for (unsigned k = 0; k < 4; k++)
            sum.u32[k] += add.u32[k];
        w[n] = portable_sha256msg2(sum.v, w[n - 1]);
    }
    for (unsigned n = 0; n < 64; n += 2) {
        union vec pair = {.v = w[n / 4]};
        v128 wk =
            words(0, 0, pair.u32[n % 4 + 1] + sha256_constants[n + 1], pair.u32[n % 4] + sha256_constants[n]);
        v128 next = portable_sha256rnds2(cdgh, abef, wk);

        cdgh = abef;
        abef = next;
    }
    ab.v = abef;
    cd.v = cdgh;
    ck_assert_uint_eq(ab.u32[3] + top.u32[3], digest[0]);
    ck_assert_uint_eq(ab.u32[2] + top.u32[2], digest[1]);
    ck_assert_uint_eq(cd.u32[3] + low.u32[3], digest[2]);
    ck_assert_uint_eq(cd.u32[2] + low.u32[2], digest[3]);
    ck_assert_uint_eq(ab.u32[1] + top.u32[1], digest[4]);
    ck_assert_uint_eq(ab.u32[0] + top.u32[0], digest[5]);
    ck_assert_uint_eq(cd.u32[1] + low.u32[1], digest[6]);
    ck_assert_uint_eq(cd.u32[0] + low.u32[0], digest[7]);
}
END_TEST

/* --- Multiplications without carries -------------------------------------------------------------- */

START_TEST(carryless_products)
{
    v128 a = {3, 0x8000000000000000}, b = {5, 0xffffffffffffffff}, r;

    r = portable_pclmulqdq(a, b, 0x00); /* (x + 1)(x^2 + 1) */
    ck_assert_uint_eq(r[0], 15);
    ck_assert_uint_eq(r[1], 0);
    r = portable_pclmulqdq(a, b, 0x01);
    ck_assert_uint_eq(r[0], 0x8000000000000000);
    ck_assert_uint_eq(r[1], 2);
    r = portable_pclmulqdq(a, b, 0x10);
    ck_assert_uint_eq(r[0], 1);
    ck_assert_uint_eq(r[1], 1);
    r = portable_pclmulqdq(a, b, 0xff); /* bits 0 and 4 count */
    ck_assert_uint_eq(r[0], 0x8000000000000000);
    ck_assert_uint_eq(r[1], 0x7fffffffffffffff);
}
END_TEST

/* FIPS 197 4.2: {57} x {83} = {c1}; the S-box is the field's inverse and an affine transformation (5.1.1). */
START_TEST(galois_field)
{
    static const uint64_t identity = 0x0102040810204080, s_box_matrix = 0xf1e3c78f1f3e7cf8;
    v128 product = portable_gf2p8mulb((v128){0x57, 0x57}, (v128){0x83, 0x13});
    unsigned ones = 0;

    ck_assert_uint_eq(product[0], 0xc1);
    ck_assert_uint_eq(product[1], 0xfe);
    for (unsigned n = 0; n < 256; n++) {
        v128 v = {n, n}, inverse = portable_gf2p8affineinvqb(v, (v128){identity, identity}, 0);

        ck_assert_uint_eq(portable_gf2p8affineqb(v, (v128){identity, identity}, 0xa5)[0] & 0xff, n ^ 0xa5);
        ones += portable_gf2p8mulb(v, inverse)[0] == 1;
        /* AESENCLAST with a state of equal bytes is the S-box alone. */
        v = (v128){n * 0x0101010101010101u, n * 0x0101010101010101u};
        ck_assert_uint_eq(portable_gf2p8affineinvqb(v, (v128){s_box_matrix, s_box_matrix}, 0x63)[0],
                          portable_aesenclast(v, low64(0))[0]);
    }
    ck_assert_uint_eq(ones, 255); /* all but 0, whose inverse counts as 0 */
}
END_TEST

/* --- Against the host ----------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static void same(v128 portable, v128 used, const char *name)
{
    ck_assert_msg(memcmp(&portable, &used, sizeof(portable)) == 0, "%s", name);
}

START_TEST(host_agrees)
{
    uint64_t state = 88172645463325252u;

    for (unsigned n = 0; n < 20000; n++) {
        v128 a = {next_random(&state), next_random(&state)}, b = {next_random(&state), next_random(&state)};
        unsigned imm = (unsigned)next_random(&state) & 0xff;

        same(portable_aesenc(a, b), op_aesenc(a, b), "aesenc");
        same(portable_aesenclast(a, b), op_aesenclast(a, b), "aesenclast");
        same(portable_aesdec(a, b), op_aesdec(a, b), "aesdec");
        same(portable_aesdeclast(a, b), op_aesdeclast(a, b), "aesdeclast");
        same(portable_aesimc(b), op_aesimc(b), "aesimc");
        same(portable_aeskeygenassist(b, imm), op_aeskeygenassist(b, imm), "aeskeygenassist");
        same(portable_pclmulqdq(a, b, imm), op_pclmulqdq(a, b, imm), "pclmulqdq");
        same(portable_gf2p8mulb(a, b), op_gf2p8mulb(a, b), "gf2p8mulb");
        same(portable_gf2p8affineqb(a, b, imm), op_gf2p8affineqb(a, b, imm), "gf2p8affineqb");
        same(portable_gf2p8affineinvqb(a, b, imm), op_gf2p8affineinvqb(a, b, imm), "gf2p8affineinvqb");
    }
}
END_TEST

/* --- As instructions ------------------------------------------------------------------------------ */

static struct rig *r;
static struct cpu_state *s;

static void setup(void)
{
    r = rig_new("max", 0);
    rig_long_mode(r);
    s = &r->cpu->s;
    s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    s->idtr.limit = 0;
    for (unsigned n = 0; n < 16; n++)
        memset(&s->zmm[n], (int)(0x11 * n), 64);
    cpu_push(r->cpu);
}

static void teardown(void)
{
    rig_free(r);
}

static v128 lane(unsigned reg, unsigned n)
{
    v128 v;

    memcpy(&v, (char *)&s->zmm[reg] + 16 * n, sizeof(v));
    return v;
}

static v128 fill(unsigned byte)
{
    return (v128){byte * 0x0101010101010101u, byte * 0x0101010101010101u};
}

/* Legacy forms keep what lies above bit 127, VEX forms clear it. */
START_TEST(widths)
{
    RUN(r, 0x66, 0x0f, 0x38, 0xdc, 0xca); /* aesenc xmm1, xmm2 */
    same(lane(1, 0), portable_aesenc(fill(0x11), fill(0x22)), "aesenc");
    same(lane(1, 1), fill(0x11), "above 127");
    s->rip = RIG_CODE;
    cpu_push(r->cpu);
    RUN(r, 0xc4, 0xe2, 0x61, 0xdc, 0xca); /* vaesenc xmm1, xmm3, xmm2 */
    same(lane(1, 0), portable_aesenc(fill(0x33), fill(0x22)), "vaesenc");
    same(lane(1, 1), fill(0), "above 127");
    s->rip = RIG_CODE;
    cpu_push(r->cpu);
    RUN(r, 0xc4, 0xe2, 0x65, 0xdc, 0xca); /* vaesenc ymm1, ymm3, ymm2 */
    same(lane(1, 0), portable_aesenc(fill(0x33), fill(0x22)), "vaesenc ymm");
    same(lane(1, 1), portable_aesenc(fill(0x33), fill(0x22)), "vaesenc ymm");
    same(lane(1, 2), fill(0), "above 255");
}
END_TEST

/* SHA256RNDS2 takes its words from XMM0. */
START_TEST(implied_operand)
{
    memcpy(&s->zmm[0], "0123456789abcdef", 16);
    cpu_push(r->cpu);
    RUN(r, 0x0f, 0x38, 0xcb, 0xca); /* sha256rnds2 xmm1, xmm2 */
    same(lane(1, 0),
         portable_sha256rnds2(fill(0x11), fill(0x22), from_bytes((const uint8_t *)"0123456789abcdef")),
         "sha256rnds2");
}
END_TEST

/* Legacy memory operands are aligned, but SHA's as on AMD's processors; VEX ones need not be. */
START_TEST(alignment)
{
    static const struct {
        uint8_t code[7];
        int vector; /* -1: none */
    } cases[] = {
        {{0x66, 0x0f, 0x38, 0xdc, 0x08}, EX_GP},       /* aesenc xmm1, [rax] */
        {{0x66, 0x0f, 0x3a, 0x44, 0x08, 0}, EX_GP},    /* pclmulqdq */
        {{0x66, 0x0f, 0x3a, 0xce, 0x08, 0}, EX_GP},    /* gf2p8affineqb */
        {{0x0f, 0x38, 0xc8, 0x08, 0x90}, -1},          /* sha1nexte */
        {{0xc4, 0xe2, 0x61, 0xdc, 0x08, 0x90}, -1},    /* vaesenc */
        {{0xc4, 0xe2, 0x75, 0xcf, 0x08, 0x90}, -1},    /* vgf2p8mulb ymm */
        {{0xc4, 0xe2, 0xf5, 0xcf, 0x08, 0x90}, EX_UD}, /* with W */
        {{0xc4, 0xe2, 0x7d, 0xdb, 0xca}, EX_UD},       /* vaesimc with L */
        {{0xc4, 0xe2, 0x71, 0xdb, 0xca}, EX_UD},       /* vaesimc with vvvv */
        {{0xc5, 0xf0, 0x38, 0xc8, 0xca}, EX_UD},       /* there is no VEX SHA */
    };

    for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        teardown();
        setup();
        s->gpr[RAX] = 0x3004;
        cpu_push(r->cpu);
        rig_run(r, cases[n].code, sizeof(cases[n].code));
        if (cases[n].vector < 0) {
            ck_assert_uint_ne(s->rip, RIG_CODE);
        } else {
            ck_assert_uint_eq(s->rip, RIG_CODE);
            ck_assert_int_eq(r->cpu->chain[0].vector, cases[n].vector);
        }
    }
}
END_TEST

START_TEST(availability)
{
    s->cr4 &= ~(uint64_t)CR4_OSXSAVE; /* the VEX form alone needs it */
    cpu_push(r->cpu);
    RUN(r, 0x66, 0x0f, 0x38, 0xdc, 0xca);
    ck_assert_uint_ne(s->rip, RIG_CODE);
    s->rip = RIG_CODE;
    cpu_push(r->cpu);
    RUN(r, 0xc4, 0xe2, 0x61, 0xdc, 0xca);
    ck_assert_int_eq(r->cpu->chain[0].vector, EX_UD);
    teardown();
    setup();
    s->cr0 |= CR0_TS;
    cpu_push(r->cpu);
    RUN(r, 0x66, 0x0f, 0x38, 0xdc, 0xca);
    ck_assert_int_eq(r->cpu->chain[0].vector, EX_NM);
}
END_TEST

Suite *crypto_suite(void)
{
    Suite *suite = suite_create("crypto");
    TCase *ops = tcase_create("operations"), *tc = tcase_create("instructions");

    tcase_add_test(ops, aes_key_expansion);
    tcase_add_test(ops, aes_cipher);
    tcase_add_test(ops, sha1_of_abc);
    tcase_add_test(ops, sha256_of_abc);
    tcase_add_test(ops, carryless_products);
    tcase_add_test(ops, galois_field);
    tcase_add_test(ops, host_agrees);
    suite_add_tcase(suite, ops);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, widths);
    tcase_add_test(tc, implied_operand);
    tcase_add_test(tc, alignment);
    tcase_add_test(tc, availability);
    suite_add_tcase(suite, tc);
    return suite;
}
