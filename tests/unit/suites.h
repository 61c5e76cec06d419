/*
 * suites.h - the unit tests: for each NAME here there is a test_NAME.c with a NAME_suite().
 */
#ifndef TESTS_UNIT_SUITES_H
#define TESTS_UNIT_SUITES_H

#define SUITES(X) X(options)

#endif
