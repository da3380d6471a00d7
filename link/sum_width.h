/* sum_width.h - what sum.c says, for vectors of WIDTH bytes: sum.c includes this once for each width, and
 * names the type (VEC) and the function (SUM).
 *
 * `to` NULL: nothing is copied. Each caller says so by a constant, so that nothing is decided in the loops.
 */
typedef uint64_t VEC __attribute__((vector_size(WIDTH)));

static inline __attribute__((always_inline)) uint64_t SUM(uint8_t *to, const uint8_t *p, size_t n)
{
    if (n < WIDTH)
        return sum_little(to, p, n);
    VEC whole = {0}, high = {0}, whole2 = {0}, high2 = {0}, a, b, c, d, mask;
    size_t left = n;
    for (; left >= 4 * WIDTH; left -= 4 * WIDTH, p += 4 * WIDTH) {
        memcpy(&a, p, WIDTH);
        memcpy(&b, p + WIDTH, WIDTH);
        memcpy(&c, p + 2 * WIDTH, WIDTH);
        memcpy(&d, p + 3 * WIDTH, WIDTH);
        IN_REGISTER(a);
        IN_REGISTER(b);
        IN_REGISTER(c);
        IN_REGISTER(d);
        if (to) {
            memcpy(to, &a, WIDTH);
            memcpy(to + WIDTH, &b, WIDTH);
            memcpy(to + 2 * WIDTH, &c, WIDTH);
            memcpy(to + 3 * WIDTH, &d, WIDTH);
            to += 4 * WIDTH;
        }
        whole += a + c;
        high += (a >> 32) + (c >> 32);
        whole2 += b + d;
        high2 += (b >> 32) + (d >> 32);
    }
    for (; left >= WIDTH; left -= WIDTH, p += WIDTH) {
        memcpy(&a, p, WIDTH);
        IN_REGISTER(a);
        if (to) {
            memcpy(to, &a, WIDTH);
            to += WIDTH;
        }
        whole += a;
        high += a >> 32;
    }
    size_t even = left & ~(size_t)1;
    if (even > 0) { /* as the last WIDTH bytes, those before masked out */
        memcpy(&a, p + even - WIDTH, WIDTH);
        IN_REGISTER(a);
        if (to)
            memcpy(to + even - WIDTH, &a, WIDTH);
        memcpy(&mask, edge + WIDEST - WIDTH + even, WIDTH);
        a &= mask;
        whole += a;
        high += a >> 32;
    }
    high += high2;
    whole += whole2 - (high << 32) + high; /* the lower halves, and the upper ones */
    uint64_t sum = 0;
    for (size_t i = 0; i < WIDTH / 8; i++)
        sum += whole[i];
    return left > even ? sum + sum_little(to ? to + even : NULL, p + even, 1) : sum;
}
#undef VEC
#undef SUM
#undef WIDTH
