#include "infer/numeral.h"

/* place: bits is the whole part without its sign, aux 1 where that is '-', at the digits of the part that is read. */
enum { BEGIN, SIGN, ZERO, WHOLE, POINT, FRACTION, E, E_SIGN, EXPONENT };
enum { WHOLE_DIGITS = 18, FRACTION_DIGITS = 15, EXPONENT_DIGITS = 2 };

static int64_t value(const struct place *p, uint64_t whole)
{
    return p->aux ? -(int64_t)whole : (int64_t)whole; /* 18 digits fit */
}

/* Some number within the bounds begins with these digits. */
static bool can_begin(const struct node *n, const struct place *p, uint64_t whole, uint32_t digits)
{
    for (uint64_t from = whole, to = whole; digits <= WHOLE_DIGITS; digits++, from *= 10, to = to * 10 + 9) {
        int64_t low = value(p, p->aux ? to : from), high = value(p, p->aux ? from : to);
        if (low <= n->high && high >= n->low)
            return true;
    }
    return false;
}

static bool within(const struct node *n, const struct place *p)
{
    int64_t v = value(p, p->bits);
    return v >= n->low && v <= n->high;
}

/* Any fraction keeps it within the bounds. */
static bool can_break(const struct node *n, const struct place *p)
{
    int64_t away = value(p, p->bits + 1); /* from zero */
    return !n->whole && (p->phase == ZERO || p->phase == WHOLE) && within(n, p) && away >= n->low && away <= n->high;
}

bool numeral_complete(const struct node *n, const struct place *p)
{
    switch (p->phase) {
    case ZERO: return !p->aux && within(n, p); /* there is no -0 */
    case WHOLE: return within(n, p);
    default: return p->phase == FRACTION || p->phase == EXPONENT;
    }
}

static bool move(struct place *p, uint8_t phase)
{
    p->phase = phase;
    p->at = 0;
    return true;
}

static bool digit(struct place *p, uint8_t phase, uint32_t most)
{
    if (p->phase != phase)
        move(p, phase);
    return p->at++ < most;
}

static bool zero(const struct node *n, struct place *p)
{
    move(p, ZERO);
    return numeral_complete(n, p) || can_break(n, p);
}

static bool whole_digit(const struct node *n, struct place *p, unsigned char c)
{
    p->bits = p->bits * 10 + (c - '0');
    return digit(p, WHOLE, WHOLE_DIGITS) && can_begin(n, p, p->bits, p->at);
}

bool numeral_step(const struct node *n, struct place *p, unsigned char c)
{
    bool is_digit = c >= '0' && c <= '9', e = (c == 'e' || c == 'E') && !n->whole && !n->bounded;
    switch (p->phase) {
    case BEGIN:
        if (c == '-') {
            p->aux = 1;
            return move(p, SIGN) && n->low <= -1;
        }
        return c == '0' ? zero(n, p) : is_digit && whole_digit(n, p, c);
    case SIGN:
        return c == '0' ? zero(n, p) : is_digit && whole_digit(n, p, c);
    case ZERO:
        return c == '.' ? can_break(n, p) && move(p, POINT) : e && !p->aux && move(p, E);
    case WHOLE:
        if (is_digit)
            return p->at < WHOLE_DIGITS && whole_digit(n, p, c);
        return c == '.' ? can_break(n, p) && move(p, POINT) : e && move(p, E);
    case POINT:
        return is_digit && digit(p, FRACTION, FRACTION_DIGITS);
    case FRACTION:
        return is_digit ? digit(p, FRACTION, FRACTION_DIGITS) : e && move(p, E);
    case E:
        return c == '+' || c == '-' ? move(p, E_SIGN) : is_digit && digit(p, EXPONENT, EXPONENT_DIGITS);
    default:
        return is_digit && digit(p, EXPONENT, EXPONENT_DIGITS);
    }
}

/* A byte that ends the number if there is one, else the first that may come. */
static char nearest(const struct node *n, const struct place *p, struct place *ret)
{
    char found = 0;
    for (const char *c = "0123456789.-"; *c; c++) {
        struct place next = *p;
        if (!numeral_step(n, &next, (unsigned char)*c))
            continue;
        bool complete = numeral_complete(n, &next);
        if (found && !complete)
            continue;
        found = *c;
        *ret = next;
        if (complete)
            break;
    }
    ASSERT(found);
    return found;
}

size_t numeral_close(const struct node *n, const struct place *p, struct buf *to)
{
    struct place at = *p;
    size_t bytes = 0;
    for (; !numeral_complete(n, &at); bytes++) {
        const struct place before = at;
        char c = nearest(n, &before, &at);
        if (to)
            buf_add_char(to, c);
    }
    return bytes;
}
