/*
 * test_crypto.c - AES, carry-less multiplication, SHA and GF(2^8).
 */
#include "tests/unit/cpu_rig.h"

Suite *crypto_suite(void)
{
    return suite_create("crypto");
}
