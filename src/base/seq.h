/* seq.h - sequence numbers: a type of their own, compared modulo 2^32 (RFC 9293 3.4).
 *
 * A raw `a < b` on sequence numbers is wrong at 2^31 and 2^32; with a struct it does not compile.
 */
#ifndef BASE_SEQ_H
#define BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t v;
} seq_t;

static inline seq_t seq(uint32_t v) { return (seq_t){v}; }
static inline seq_t seq_add(seq_t a, uint32_t n) { return (seq_t){a.v + n}; }
static inline seq_t seq_sub(seq_t a, uint32_t n) { return (seq_t){a.v - n}; }

/* How far b is behind a; signed, within 2^31. */
static inline int32_t seq_diff(seq_t a, seq_t b) { return (int32_t)(a.v - b.v); }

/* Bytes from `from` up to `to`, which must not be before it. */
static inline uint32_t seq_span(seq_t from, seq_t to) { return to.v - from.v; }

static inline bool seq_eq(seq_t a, seq_t b) { return a.v == b.v; }
static inline bool seq_lt(seq_t a, seq_t b) { return seq_diff(a, b) < 0; }
static inline bool seq_le(seq_t a, seq_t b) { return seq_diff(a, b) <= 0; }
static inline bool seq_gt(seq_t a, seq_t b) { return seq_diff(a, b) > 0; }
static inline bool seq_ge(seq_t a, seq_t b) { return seq_diff(a, b) >= 0; }
static inline seq_t seq_max(seq_t a, seq_t b) { return seq_ge(a, b) ? a : b; }
static inline seq_t seq_min(seq_t a, seq_t b) { return seq_le(a, b) ? a : b; }

/* lo <= s < lo + n */
static inline bool seq_in(seq_t s, seq_t lo, uint32_t n) { return (uint32_t)(s.v - lo.v) < n; }

#endif
