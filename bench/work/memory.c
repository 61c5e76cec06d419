/*
 * memory.c - workloads of the memory: misses of every cache and TLB, the C library's copying and searching,
 * allocation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

/* A cell of its own cache line, so that each step is a new one. */
struct cell {
    uint32_t next;
    uint32_t padding[15];
};

/* `count` steps along one cycle through all cells. */
uint64_t work_chase(unsigned long count)
{
    enum { CELLS = (8 << 20) / sizeof(struct cell) };
    struct cell *cells = work_alloc(CELLS * sizeof(*cells));
    uint64_t random = 0xDEADBEEFCAFE;
    uint32_t at = 0;

    for (uint32_t i = 0; i < CELLS; i++)
        cells[i].next = i;
    /* Sattolo's shuffle leaves a permutation that is a single cycle. */
    for (uint32_t i = CELLS - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(work_random(&random) % i);
        uint32_t was = cells[i].next;
        cells[i].next = cells[other].next;
        cells[other].next = was;
    }
    for (unsigned long i = 0; i < count; i++)
        at = cells[at].next;
    free(cells);
    return at;
}

/* `count` times copies of 0 bytes to 32 KiB, at all alignments, over each other too. */
uint64_t work_copy(unsigned long count)
{
    enum { SIZE = 256 << 10, COPIES = 200 };
    uint8_t *memory = work_alloc(SIZE);
    uint64_t random = 0x5555AAAA1234, sum = 0;

    for (size_t i = 0; i < SIZE; i++)
        memory[i] = (uint8_t)(work_random(&random) >> 11);
    for (unsigned long i = 0; i < count; i++) {
        for (unsigned j = 0; j < COPIES; j++) {
            uint64_t number = work_random(&random);
            size_t size = (number & 0x7FFF) >> (number >> 60); /* small ones as often as large ones */
            size_t from = (number >> 16) % (SIZE / 2 - size), to = (number >> 32) % (SIZE / 2 - size);
            if (j % 8 == 0)
                memmove(memory + to, memory + from, size);
            else if (j % 8 == 1)
                memset(memory + to, (int)(number >> 40), size / 8);
            else
                memcpy(memory + to, memory + SIZE / 2 + from, size);
            sum = work_mix(sum, memory[to]);
        }
    }
    for (size_t i = 0; i < SIZE; i += 61)
        sum = work_mix(sum, memory[i]);
    free(memory);
    return sum;
}

/* `count` times: puts a line together, takes it apart, looks for words in it. */
uint64_t work_strings(unsigned long count)
{
    static const char *const words[] = {"ox",     "bow",     "yoke",   "plough",
                                        "furrow", "harness", "meadow", "river"};
    char line[256], copy[256];
    uint64_t random = 0x2718281828459, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        uint64_t number = work_random(&random);
        const char *word = words[number % 8];
        int length = snprintf(line, sizeof(line), "%s=%llu:%08x,%s;%-12s|%d", words[number >> 8 & 7],
                              (unsigned long long)number, (unsigned)(number >> 16), words[number >> 24 & 7],
                              words[number >> 32 & 7], (int)(number >> 40));
        sum = work_mix(sum, (uint64_t)length);
        strcpy(copy, line);
        const char *found = strstr(copy, word);
        sum += found ? (uint64_t)(found - copy) : 999;
        for (char *rest = copy, *field; (field = strsep(&rest, "=:,;|"));) {
            sum = work_mix(sum, strlen(field));
            for (unsigned j = 0; j < 8; j++)
                if (!strcmp(field, words[j]))
                    sum += j;
        }
        sum = work_mix(sum, strtoull(strchr(line, '=') + 1, NULL, 10));
        sum += (uint64_t)memcmp(line, copy, 2) & 1;
    }
    return sum;
}

struct node {
    struct node *left, *right;
    uint32_t key, weight;
};

/* A treap's node goes in: sorted by key, a heap by weight. */
static struct node *insert(struct node *root, struct node *node)
{
    if (!root)
        return node;
    if (node->key < root->key) {
        root->left = insert(root->left, node);
        if (root->left->weight > root->weight) {
            struct node *up = root->left;
            root->left = up->right;
            up->right = root;
            return up;
        }
    } else {
        root->right = insert(root->right, node);
        if (root->right->weight > root->weight) {
            struct node *up = root->right;
            root->right = up->left;
            up->left = root;
            return up;
        }
    }
    return root;
}

/* Frees a tree in the order of its keys and sums it up. */
static uint64_t take_apart(struct node *root, uint64_t sum)
{
    if (!root)
        return sum;
    sum = take_apart(root->left, sum);
    sum = work_mix(sum, root->key);
    struct node *right = root->right;
    free(root);
    return take_apart(right, sum);
}

/* `count` times a tree of 20,000 nodes is built and taken apart. */
uint64_t work_tree(unsigned long count)
{
    uint64_t random = 0x1618033988749, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        struct node *root = NULL;
        for (unsigned j = 0; j < 20000; j++) {
            struct node *node = work_alloc(sizeof(*node));
            uint64_t number = work_random(&random);
            *node = (struct node){.key = (uint32_t)number, .weight = (uint32_t)(number >> 32)};
            root = insert(root, node);
        }
        sum = take_apart(root, sum);
    }
    return sum;
}
