/*
 * control.c - workloads of control flow: calls, callbacks, jumps that can't be foreseen, code that changes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "work.h"

WORK_OPAQUE static uint64_t fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/* `count` hundred thousand calls and some: Fibonacci's 25th number takes 242,785 of them. */
uint64_t work_calls(unsigned long count)
{
    uint64_t sum = 0;

    for (unsigned long i = 0; i < count; i++)
        for (unsigned n = 20; n < 26; n++)
            sum = work_mix(sum, fibonacci(n));
    return sum;
}

WORK_OPAQUE static int compare(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* Sorts 64 Ki numbers `count` times. */
uint64_t work_sort(unsigned long count)
{
    enum { NUMBERS = 65536 };
    uint32_t *numbers = work_alloc(NUMBERS * sizeof(*numbers));
    uint64_t random = 0x0123456789ABCDEF, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        for (size_t n = 0; n < NUMBERS; n++)
            numbers[n] = work_random(&random) >> 20;
        qsort(numbers, NUMBERS, sizeof(*numbers), compare);
        for (size_t n = 0; n < NUMBERS; n += 997)
            sum = work_mix(sum, numbers[n]);
    }
    free(numbers);
    return sum;
}

enum op { OP_ADD, OP_SUB, OP_XOR, OP_ROTATE, OP_LOAD, OP_STORE, OP_SWAP, OP_BRANCH, OP_EXTERN, OPS };

struct vm {
    uint64_t a, b;
    uint64_t cells[64];
};

WORK_OPAQUE static void extern_double(struct vm *vm)
{
    vm->a += vm->a + 1;
}

WORK_OPAQUE static void extern_fold(struct vm *vm)
{
    vm->b ^= vm->a >> 32;
}

WORK_OPAQUE static void extern_count(struct vm *vm)
{
    vm->cells[vm->b % 64]++;
}

WORK_OPAQUE static void extern_reverse(struct vm *vm)
{
    vm->a = __builtin_bswap64(vm->a);
}

static void (*const externs[])(struct vm *) = {extern_double, extern_fold, extern_count, extern_reverse};

/* A step's operation in the low byte, its operand above. */
WORK_OPAQUE static void interpret(struct vm *vm, const uint16_t *code, size_t length, unsigned long steps)
{
    size_t at = 0;

    while (steps--) {
        unsigned operand = code[at] >> 8;
        switch ((enum op)(code[at] & 0xFF)) {
        case OP_ADD:
            vm->a += operand + vm->b;
            break;
        case OP_SUB:
            vm->b -= operand ^ vm->a;
            break;
        case OP_XOR:
            vm->a ^= vm->b << (operand & 31);
            break;
        case OP_ROTATE:
            vm->b = vm->b << (operand % 63 + 1) | vm->b >> (63 - operand % 63);
            break;
        case OP_LOAD:
            vm->a += vm->cells[operand % 64];
            break;
        case OP_STORE:
            vm->cells[(operand + vm->b) % 64] = vm->a;
            break;
        case OP_SWAP: {
            uint64_t was = vm->a;
            vm->a = vm->b;
            vm->b = was;
            break;
        }
        case OP_BRANCH:
            if (vm->a & 1)
                at = (at + operand) % length;
            break;
        case OP_EXTERN:
            externs[(operand ^ vm->a) % 4](vm);
            break;
        case OPS:
            break;
        }
        if (++at >= length)
            at = 0;
    }
}

/* `count` times 256 Ki steps of a random program. */
uint64_t work_interp(unsigned long count)
{
    enum { LENGTH = 1021, STEPS = 262144 };
    uint16_t code[LENGTH];
    struct vm vm = {.a = 1, .b = 2};
    uint64_t random = 0xFEDCBA9876543210, sum = 0;

    for (size_t i = 0; i < LENGTH; i++) {
        uint64_t number = work_random(&random);
        code[i] = (uint16_t)(number % OPS | (number >> 16 & 0xFF) << 8);
    }
    for (unsigned long i = 0; i < count; i++) {
        interpret(&vm, code, LENGTH, STEPS);
        sum = work_mix(sum, vm.a ^ vm.b);
    }
    return sum;
}

/* Small, and each does something else. */
#define STEP(n, expression)                                                                                  \
    WORK_OPAQUE static uint64_t step_##n(uint64_t x)                                                         \
    {                                                                                                        \
        return expression;                                                                                   \
    }
#define STEPS(X)                                                                                             \
    X(0, x + 1)                                                                                              \
    X(1, x ^ 0x5555) X(2, x * 3) X(3, x >> 1 ^ x) X(4, ~x) X(5, x << 3 | x >> 61) X(6, x - 0x1234567)        \
        X(7, x ^ x >> 33) X(8, x + (x << 5)) X(9, x * 0x9E3779B9) X(10, x ^ x << 7)                          \
            X(11, x & 1 ? x + 7 : x - 9) X(12, __builtin_bswap64(x)) X(13, -x) X(14, x ^ 0xAAAA0000)         \
                X(15, x + x / 8)
STEPS(STEP)

/* `count` calls of one of 16 functions, chosen by a pseudo-random number. */
uint64_t work_indirect(unsigned long count)
{
#define ADDRESS(n, expression) step_##n,
    static uint64_t (*const steps[16])(uint64_t) = {STEPS(ADDRESS)};
#undef ADDRESS
    uint64_t random = 0x0F1E2D3C4B5A6978, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        uint64_t number = work_random(&random);
        sum = steps[number >> 60](sum ^ number);
    }
    return sum;
}

/*
 * Calls a function whose constant is written anew before each call, as a just-in-time compiler's inline
 * caches are. It lies in a page with others that do not change and are called as often:
 *
 *     b8 NN NN NN NN    mov eax, NN
 *     c3                ret
 */
uint64_t work_patch(unsigned long count)
{
    enum { PAGE = 4096, APART = 256, FUNCTIONS = 8 };
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t (*functions[FUNCTIONS])(void);
    uint64_t sum = 0;

    if (page == MAP_FAILED)
        work_fail("mmap of memory that may be executed");
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        uint8_t *code = page + (size_t)i * APART;
        code[0] = 0xB8;
        memcpy(code + 1, &i, sizeof(i));
        code[5] = 0xC3;
        memcpy(&functions[i], &code, sizeof(code));
    }
    for (unsigned long i = 0; i < count; i++) {
        uint32_t value = (uint32_t)i * 2654435761u;
        memcpy(page + 1, &value, sizeof(value));
        sum = work_mix(sum, functions[0]());
        sum += functions[1 + i % (FUNCTIONS - 1)]();
    }
    munmap(page, PAGE);
    return sum;
}
