/*-------------------------------------------------------------------------
 *
 * random.h
 *	  Reproducible random numbers (splitmix64) for tests and fuzzers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TEST_RANDOM_H
#define CLAIIM_TEST_RANDOM_H

#include <stdint.h>

typedef struct Random
{
	uint64_t	state;
} Random;

static inline uint64_t
random_next(Random *random)
{
	uint64_t	z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to limit - 1; good enough for small limits */
static inline int
random_below(Random *random, int limit)
{
	return (int) (random_next(random) % (uint64_t) limit);
}

#endif							/* CLAIIM_TEST_RANDOM_H */
