/* Go's regular expressions: see regexp.h.
 *
 * The parser writes the program as it reads; jumps are relative, so that what was written can be moved (an
 * operator in front of it) or copied (a repetition):
 *
 *      a|b    SPLIT +1 +3 | a | JMP +2 | b        a{2,3}   a | a | SPLIT +1 +2 | a
 *      a*     SPLIT +1 +3 | a | JMP -2            a*?      the same, the other way preferred
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "regexp.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/strbuf.h"

#define DEPTH_MAX 250      /* of groups; each takes half a kilobyte of a fiber's stack */
#define REPEAT_MAX 1000    /* Go's, also of repetitions within repetitions */
#define RUNE_MAX 0x10ffff
#define PCRE_STEPS 200000
#define CACHE 64

enum op { RUNE, ANY, ANY_NOT_NEWLINE, CLASS, SPLIT, JMP, MATCH, BEGIN_TEXT, END_TEXT, BEGIN_LINE, END_LINE, WORD, NOT_WORD };

struct instruction {
        uint8_t op;
        bool fold;    /* RUNE: a lower-case ASCII letter that stands for its upper-case one too */
        bool negated; /* CLASS */
        int32_t x, y; /* SPLIT: x is preferred; JMP: x; RUNE: x; CLASS: ranges x to y - 1 */
};

struct range {
        uint32_t low, high;
};

struct thread {
        uint32_t pc;
        size_t start;
};

struct threads {
        struct thread *list;
        uint32_t *place; /* by instruction: where in the list, if it is there */
        uint32_t n;
};

struct regexp {
        struct instruction *code;
        size_t n, cap;
        struct range *ranges;
        size_t n_ranges, cap_ranges;
        struct threads now, next;
        uint32_t *stack;
        pcre2_code *pcre;
        char *pattern; /* of the cache */
        size_t pattern_len;
};

/* --- parsing --- */

enum { FOLD = 1, DOT_ALL = 2, MULTI_LINE = 4, UNGREEDY = 8 };

struct parser {
        struct arena *a;
        struct regexp *re;
        const char *whole, *p, *end;
        unsigned flags, depth;
        bool pcre;       /* something that only PCRE2 knows */
        const char *why;
};

static int fail(struct parser *s, const char *code, const char *from, const char *to)
{
        if (!s->why)
                s->why = from ? arena_printf(s->a, "error parsing regexp: %s: `%.*s`", code, (int)(to - from), from) :
                                arena_printf(s->a, "error parsing regexp: %s", code);
        return -EINVAL;
}

static int emit(struct parser *s, struct instruction in)
{
        struct regexp *re = s->re;

        if (re->n >= REGEXP_INSTRUCTIONS_MAX)
                return fail(s, "expression too large", NULL, NULL);
        array_reserve(re->code, re->cap, re->n + 1);
        re->code[re->n++] = in;
        return 0;
}

/* In front of what was written from AT on. */
static int insert(struct parser *s, size_t at, struct instruction in)
{
        struct regexp *re = s->re;
        int r = emit(s, in);

        if (r < 0)
                return r;
        memmove(&re->code[at + 1], &re->code[at], (re->n - 1 - at) * sizeof(*re->code));
        re->code[at] = in;
        return 0;
}

static int copy(struct parser *s, size_t from, size_t n)
{
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++)
                r = emit(s, s->re->code[from + i]);
        return r;
}

/* A rune of UTF-8; what is none is U+FFFD, a byte at a time. */
static size_t rune_at(const char *p, const char *end, uint32_t *ret)
{
        const unsigned char *u = (const unsigned char *)p;
        size_t n = *u < 0x80 ? 1 : *u >= 0xc2 && *u < 0xe0 ? 2 : *u >= 0xe0 && *u < 0xf0 ? 3 : *u >= 0xf0 && *u < 0xf5 ? 4 : 0;
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;

        *ret = 0xfffd;
        if (!n || (size_t)(end - p) < n)
                return 1;
        c = n == 1 ? *u : *u & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++) {
                if ((u[i] & 0xc0) != 0x80)
                        return 1;
                c = c << 6 | (u[i] & 0x3f);
        }
        if (c < least[n] || c > RUNE_MAX || (c >= 0xd800 && c < 0xe000))
                return 1;
        *ret = c;
        return n;
}

static int literal(struct parser *s, uint32_t c)
{
        bool letter = c < 128 && isalpha((int)c);

        if ((s->flags & FOLD) && (c >= 128 || c == 'k' || c == 'K' || c == 's' || c == 'S'))
                s->pcre |= c >= 128; /* k and s have a third form each, which nobody writes */
        return emit(s, (struct instruction){ .op = RUNE, .fold = letter && (s->flags & FOLD),
                                             .x = (int32_t)(letter && (s->flags & FOLD) ? (uint32_t)tolower((int)c) : c) });
}

/* --- classes --- */

static void add_range(struct parser *s, uint32_t low, uint32_t high)
{
        struct regexp *re = s->re;

        array_reserve(re->ranges, re->cap_ranges, re->n_ranges + 3);
        re->ranges[re->n_ranges++] = (struct range){ low, high };
        if (!(s->flags & FOLD))
                return;
        s->pcre |= high >= 128 && low > 0 && high < RUNE_MAX;
        for (int i = 0; i < 2; i++) { /* its part in the letters, in the other case */
                uint32_t from = i ? 'a' : 'A', to = from + 25, l = MAX(low, from), h = MIN(high, to);

                if (l <= h)
                        re->ranges[re->n_ranges++] = (struct range){ l ^ 32, h ^ 32 };
        }
}

struct named_class {
        const char *name;
        const char *ranges; /* pairs of characters */
};
static const struct named_class perl[] = { { "d", "09" }, { "s", "\t\n\f\r  " }, { "w", "09AZ__az" } };
static const struct named_class posix[] = {
        { "alnum", "09AZaz" }, { "alpha", "AZaz" }, { "ascii", "\x01\x7f" }, { "blank", "\t\t  " }, { "cntrl", "\x01\x1f\x7f\x7f" },
        { "digit", "09" }, { "graph", "!~" }, { "lower", "az" }, { "print", " ~" }, { "punct", "!/:@[`{~" },
        { "space", "\t\r  " }, { "upper", "AZ" }, { "word", "09AZ__az" }, { "xdigit", "09AFaf" },
};

static void add_named(struct parser *s, const struct named_class *c, bool negated)
{
        const unsigned char *r = (const unsigned char *)c->ranges;
        uint32_t from = 0;

        if (streq(c->name, "ascii") || streq(c->name, "cntrl")) { /* the two with NUL */
                if (!negated)
                        add_range(s, 0, 0);
                from = 1;
        }
        for (; *r; r += 2) {
                if (!negated)
                        add_range(s, r[0], r[1]);
                else if (r[0] > from)
                        add_range(s, from, r[0] - 1u);
                from = r[1] + 1u;
        }
        if (negated)
                add_range(s, from, RUNE_MAX);
}

/* \d and its kin; false: P is none. */
static bool add_perl(struct parser *s, const char *p)
{
        for (size_t i = 0; s->end - p >= 2 && p[0] == '\\' && i < ARRAY_SIZE(perl); i++) {
                if (tolower((unsigned char)p[1]) == perl[i].name[0]) {
                        add_named(s, &perl[i], isupper((unsigned char)p[1]));
                        return true;
                }
        }
        return false;
}

/* The rune that an escape stands for; S->p is at the backslash. */
static int escape(struct parser *s, uint32_t *ret)
{
        const char *from = s->p, *digits;
        uint32_t c = 0;
        size_t n;

        if (++s->p == s->end)
                return fail(s, "trailing backslash at end of expression", s->p, s->p);
        s->p += n = rune_at(s->p, s->end, &c);
        *ret = c;
        if (c < 128 && !isalnum((int)c))
                return 0;
        switch (c) {
        case '1': case '2': case '3': case '4': case '5': case '6': case '7':
                if (s->p == s->end || *s->p < '0' || *s->p > '7')
                        break; /* a back reference */
                /* fall through */
        case '0':
                *ret = c - '0';
                for (int i = 0; i < 2 && s->p < s->end && *s->p >= '0' && *s->p <= '7'; i++)
                        *ret = *ret * 8 + (uint32_t)(*s->p++ - '0');
                return 0;
        case 'x':
                if (s->p == s->end)
                        break;
                if (*s->p == '{') {
                        digits = ++s->p;
                        for (*ret = 0; s->p < s->end && isxdigit((unsigned char)*s->p) && *ret <= RUNE_MAX; s->p++)
                                *ret = *ret * 16 + (uint32_t)(isdigit((unsigned char)*s->p) ? *s->p - '0' : tolower(*s->p) - 'a' + 10);
                        if (s->p == digits || s->p == s->end || *s->p++ != '}' || *ret > RUNE_MAX)
                                break;
                        return 0;
                }
                if (s->end - s->p < 2 || !isxdigit((unsigned char)s->p[0]) || !isxdigit((unsigned char)s->p[1]))
                        break;
                *ret = (uint32_t)strtoul((char[]){ s->p[0], s->p[1], '\0' }, NULL, 16);
                s->p += 2;
                return 0;
        case 'a': *ret = '\a'; return 0;
        case 'f': *ret = '\f'; return 0;
        case 'n': *ret = '\n'; return 0;
        case 'r': *ret = '\r'; return 0;
        case 't': *ret = '\t'; return 0;
        case 'v': *ret = '\v'; return 0;
        default: break;
        }
        return fail(s, "invalid escape sequence", from, s->p);
}

/* \pL, \p{Greek}: passed over, for PCRE2. */
static bool skip_unicode_class(struct parser *s)
{
        const char *close;

        if (s->end - s->p < 3 || s->p[0] != '\\' || (s->p[1] != 'p' && s->p[1] != 'P'))
                return false;
        close = s->p[2] == '{' ? memchr(s->p, '}', (size_t)(s->end - s->p)) : s->p + 2;
        if (!close)
                return false;
        s->p = close + 1;
        return s->pcre = true;
}

/* [:alpha:]; 0: it is none, S->p stays. */
static int posix_class(struct parser *s)
{
        const char *name = s->p + 2, *close = s->end - s->p > 2 ? memmem(name, (size_t)(s->end - name), ":]", 2) : NULL;
        bool negated;

        if (!close || s->p[0] != '[' || s->p[1] != ':')
                return 0;
        negated = *name == '^';
        name += negated;
        for (size_t i = 0; i < ARRAY_SIZE(posix); i++) {
                if (strlen(posix[i].name) == (size_t)(close - name) && strncmp(posix[i].name, name, (size_t)(close - name)) == 0) {
                        add_named(s, &posix[i], negated);
                        s->p = close + 2;
                        return 1;
                }
        }
        return fail(s, "invalid character class range", s->p, close + 2);
}

static int class_char(struct parser *s, const char *open, uint32_t *ret)
{
        if (s->p == s->end)
                return fail(s, "missing closing ]", open, s->end);
        if (*s->p == '\\')
                return escape(s, ret);
        s->p += rune_at(s->p, s->end, ret);
        return 0;
}

static int parse_class(struct parser *s)
{
        struct instruction in = { .op = CLASS, .x = (int32_t)s->re->n_ranges };
        const char *open = s->p++;
        int r;

        if (s->p < s->end && *s->p == '^') {
                in.negated = true;
                s->p++;
        }
        for (bool first = true; s->p == s->end || *s->p != ']' || first; first = false) {
                const char *from = s->p;
                uint32_t low, high;

                if (s->end - s->p > 2 && s->p[0] == '[' && s->p[1] == ':' && (r = posix_class(s))) {
                        if (r < 0)
                                return r;
                        continue;
                }
                if (skip_unicode_class(s))
                        continue;
                if (add_perl(s, s->p)) {
                        s->p += 2;
                        continue;
                }
                r = class_char(s, open, &low);
                if (r < 0)
                        return r;
                high = low;
                if (s->end - s->p >= 2 && s->p[0] == '-' && s->p[1] != ']') {
                        s->p++;
                        r = class_char(s, open, &high);
                        if (r < 0)
                                return r;
                        if (high < low)
                                return fail(s, "invalid character class range", from, s->p);
                }
                add_range(s, low, high);
        }
        s->p++;
        in.y = (int32_t)s->re->n_ranges;
        return emit(s, in);
}

/* --- atoms, groups, repetitions --- */

static int parse_alternatives(struct parser *s, unsigned *ret_weight);

static bool name_is_valid(const char *p, const char *end)
{
        for (const char *c = p; c < end; c++)
                if (!isalnum((unsigned char)*c) && *c != '_')
                        return false;
        return p < end;
}

/* S->p is behind "(?". *RET_GROUP: false after "(?i)", which only sets flags. */
static int parse_perl_group(struct parser *s, bool *ret_group)
{
        const char *from = s->p - 2, *close;
        unsigned flags = s->flags;
        bool minus = false, some = false;

        *ret_group = true;
        if (s->end - s->p > 1 && (*s->p == '<' || (s->end - s->p > 2 && s->p[0] == 'P' && s->p[1] == '<'))) {
                const char *name = memchr(s->p, '<', (size_t)(s->end - s->p)) + 1;

                close = memchr(name, '>', (size_t)(s->end - name));
                if (!close || !name_is_valid(name, close))
                        return fail(s, "invalid named capture", from, close ? close + 1 : s->end);
                s->p = close + 1;
                return 0;
        }
        while (s->p < s->end) {
                static const char letters[] = "ismU";
                char c = *s->p++;
                const char *letter = c ? strchr(letters, c) : NULL;

                if (letter) {
                        static const unsigned bits[] = { FOLD, DOT_ALL, MULTI_LINE, UNGREEDY };
                        unsigned bit = bits[letter - letters];

                        flags = minus ? flags & ~bit : flags | bit;
                        some = true;
                } else if (c == '-' && !minus) {
                        minus = true;
                        some = false;
                } else if ((c == ':' || c == ')') && (!minus || some)) {
                        *ret_group = c == ':';
                        s->flags = flags;
                        return 0;
                } else {
                        break;
                }
        }
        return s->p == s->end ? fail(s, "missing closing )", s->whole, s->end) :
                                fail(s, "invalid or unsupported Perl syntax", from, s->p);
}

/* S->p is at "(". *RET_NOTHING: there was nothing that could be repeated. */
static int parse_group(struct parser *s, unsigned *ret_weight, bool *ret_nothing)
{
        unsigned flags = s->flags;
        bool group = true;
        int r = 0;

        s->p++;
        if (s->end - s->p > 1 && *s->p == '?') {
                s->p++;
                r = parse_perl_group(s, &group);
        }
        if (r < 0)
                return r;
        if (!group) {
                *ret_nothing = true;
                return 0;
        }
        if (++s->depth > DEPTH_MAX)
                return fail(s, "expression nests too deeply", s->whole, s->end);
        r = parse_alternatives(s, ret_weight);
        s->depth--;
        if (r == 0 && s->p == s->end)
                r = fail(s, "missing closing )", s->whole, s->end);
        s->p++;
        s->flags = flags;
        return r;
}

static int parse_quoted(struct parser *s)
{
        const char *close;
        uint32_t c;
        int r = 0;

        s->p += 2;
        close = memmem(s->p, (size_t)(s->end - s->p), "\\E", 2);
        while (r == 0 && s->p < (close ? close : s->end)) {
                s->p += rune_at(s->p, s->end, &c);
                r = literal(s, c);
        }
        if (close)
                s->p = close + 2;
        return r;
}

static int parse_escape(struct parser *s)
{
        static const struct {
                char c;
                enum op op;
        } asserts[] = { { 'A', BEGIN_TEXT }, { 'z', END_TEXT }, { 'b', WORD }, { 'B', NOT_WORD } };
        size_t ranges = s->re->n_ranges;
        unsigned flags = s->flags;
        uint32_t c;
        int r;

        for (size_t i = 0; s->end - s->p >= 2 && i < ARRAY_SIZE(asserts); i++) {
                if (s->p[1] == asserts[i].c) {
                        s->p += 2;
                        return emit(s, (struct instruction){ .op = (uint8_t)asserts[i].op });
                }
        }
        s->flags &= ~FOLD; /* \w and its kin have both cases */
        if (add_perl(s, s->p)) {
                s->flags = flags;
                s->p += 2;
                return emit(s, (struct instruction){ .op = CLASS, .x = (int32_t)ranges, .y = (int32_t)s->re->n_ranges });
        }
        s->flags = flags;
        if (skip_unicode_class(s))
                return emit(s, (struct instruction){ .op = ANY });
        r = escape(s, &c);
        return r < 0 ? r : literal(s, c);
}

static int parse_atom(struct parser *s, unsigned *ret_weight, bool *ret_nothing)
{
        uint32_t c;

        switch (*s->p) {
        case '(':
                return parse_group(s, ret_weight, ret_nothing);
        case '[':
                return parse_class(s);
        case '\\':
                return parse_escape(s);
        case '.':
                s->p++;
                return emit(s, (struct instruction){ .op = s->flags & DOT_ALL ? ANY : ANY_NOT_NEWLINE });
        case '^':
                s->p++;
                return emit(s, (struct instruction){ .op = s->flags & MULTI_LINE ? BEGIN_LINE : BEGIN_TEXT });
        case '$':
                s->p++;
                return emit(s, (struct instruction){ .op = s->flags & MULTI_LINE ? END_LINE : END_TEXT });
        default:
                s->p += rune_at(s->p, s->end, &c);
                return literal(s, c);
        }
}

/* "{2,5}" at S->p: what is none is text. Its numbers are -1 when they are too large, *RET_MAX also for no end. */
static const char *counts(const struct parser *s, long *ret_min, long *ret_max, bool *ret_large)
{
        const char *p = s->p + 1, *from = p;

        *ret_large = false;
        *ret_min = *ret_max = 0;
        for (; p < s->end && isdigit((unsigned char)*p); p++)
                *ret_min = MIN(*ret_min * 10 + (*p - '0'), 1000000L);
        if (p == from || (*from == '0' && p - from > 1))
                return NULL;
        *ret_max = *ret_min;
        if (p < s->end && *p == ',') {
                from = ++p;
                *ret_max = 0;
                for (; p < s->end && isdigit((unsigned char)*p); p++)
                        *ret_max = MIN(*ret_max * 10 + (*p - '0'), 1000000L);
                if (p - from > 1 && *from == '0')
                        return NULL;
                if (p == from)
                        *ret_max = -1;
        }
        if (p == s->end || *p != '}')
                return NULL;
        *ret_large = *ret_min > REPEAT_MAX || *ret_max > REPEAT_MAX || (*ret_max >= 0 && *ret_min > *ret_max);
        return p + 1;
}

static struct instruction split(bool greedy, int32_t into, int32_t past)
{
        return (struct instruction){ .op = SPLIT, .x = greedy ? into : past, .y = greedy ? past : into };
}

/* What was written from AT on, MIN to MAX times (-1: no end). */
static int repeat(struct parser *s, size_t at, long min, long max, bool greedy)
{
        size_t n = s->re->n - at, last = at;
        int r = 0;

        if (max == 0) {
                s->re->n = at;
                return 0;
        }
        if (n && (size_t)(max < 0 ? min + 1 : max) * (n + 1) > REGEXP_INSTRUCTIONS_MAX)
                return fail(s, "expression too large", NULL, NULL);
        if (min == 0) {
                r = insert(s, at, split(greedy, 1, 0)); /* past: known at the end */
                n++;
        }
        for (long i = 1; i < min && r == 0; i++) {
                last = s->re->n;
                r = copy(s, at, n);
        }
        if (r == 0 && max < 0) {
                /* x*: back to the SPLIT in front of it; x+: a SPLIT behind it. */
                if (min == 0)
                        r = emit(s, (struct instruction){ .op = JMP, .x = -(int32_t)n });
                else
                        r = emit(s, split(greedy, -(int32_t)(s->re->n - last), 1));
        }
        /* Each of the rest in front of the next: who leaves one leaves all. */
        for (long i = MAX(min, 1L); i < max && r == 0; i++) {
                if (min > 0)
                        r = emit(s, split(greedy, 1, 0));
                if (r == 0)
                        r = copy(s, at, n);
        }
        for (size_t i = at; r == 0 && i < s->re->n; i++) {
                struct instruction *in = &s->re->code[i];

                if (in->op == SPLIT && in->x == 0)
                        in->x = (int32_t)(s->re->n - i);
                else if (in->op == SPLIT && in->y == 0)
                        in->y = (int32_t)(s->re->n - i);
        }
        return r;
}

/* Operators behind an atom that was written from AT on. */
static int parse_repetitions(struct parser *s, size_t at, bool nothing, unsigned *weight)
{
        const char *before = NULL;

        while (s->p < s->end && *s->p && strchr("*+?{", *s->p)) {
                const char *from = s->p, *past = s->p + 1;
                long min = *s->p == '+', max = *s->p == '?' ? 1 : -1;
                bool large = false, greedy = !(s->flags & UNGREEDY);
                int r;

                if (*s->p == '{' && !(past = counts(s, &min, &max, &large)))
                        return 0; /* a brace like any character */
                if (large)
                        return fail(s, "invalid repeat count", from, past);
                if (past < s->end && *past == '?') {
                        greedy = !greedy;
                        past++;
                }
                if (before)
                        return fail(s, "invalid nested repetition operator", before, past);
                if (nothing)
                        return fail(s, "missing argument to repetition operator", from, past);
                if (*from == '{' && (max > 0 || (max < 0 && min > 0))) {
                        *weight *= (unsigned)(max > 0 ? max : min);
                        if (*weight > REPEAT_MAX)
                                return fail(s, "invalid repeat count", from, past);
                }
                s->p = past;
                r = repeat(s, at, min, max, greedy);
                if (r < 0)
                        return r;
                before = from;
        }
        return 0;
}

static int parse_sequence(struct parser *s, unsigned *ret_weight)
{
        while (s->p < s->end && *s->p != '|' && *s->p != ')') {
                size_t at = s->re->n;
                const char *from = s->p;
                unsigned weight = 1;
                bool nothing = false, large;
                long min, max;
                int r = 0;

                if ((*s->p && strchr("*+?", *s->p)) || (*s->p == '{' && counts(s, &min, &max, &large)))
                        nothing = true;
                else if (s->end - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'Q')
                        r = parse_quoted(s);
                else
                        r = parse_atom(s, &weight, &nothing);
                if (r == 0 && s->end - from > 1 && from[0] == '\\' && from[1] == 'Q' && s->re->n > at)
                        at = s->re->n - 1; /* an operator behind quoted text is about its last character */
                if (r == 0)
                        r = parse_repetitions(s, at, nothing, &weight);
                if (r < 0)
                        return r;
                *ret_weight = MAX(*ret_weight, weight);
        }
        return 0;
}

/* The ones read so far stand behind a SPLIT and in front of a JMP over the next: (a|b)|c. */
static int parse_alternatives(struct parser *s, unsigned *ret_weight)
{
        size_t at = s->re->n;
        int r = parse_sequence(s, ret_weight);

        while (r == 0 && s->p < s->end && *s->p == '|') {
                size_t jump;

                s->p++;
                r = insert(s, at, split(true, 1, (int32_t)(s->re->n - at) + 2));
                jump = s->re->n;
                if (r == 0)
                        r = emit(s, (struct instruction){ .op = JMP });
                if (r == 0)
                        r = parse_sequence(s, ret_weight);
                if (r == 0)
                        s->re->code[jump].x = (int32_t)(s->re->n - jump);
        }
        return r;
}

static int compile_pcre(struct parser *s)
{
        size_t len = (size_t)(s->end - s->whole);
        PCRE2_SIZE at;
        int code;

        s->re->pcre = pcre2_compile((PCRE2_SPTR)s->whole, len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                                    &code, &at, NULL);
        return s->re->pcre ? 0 : fail(s, "invalid or unsupported Perl syntax", s->whole, s->end);
}

static void threads_init(struct threads *t, size_t n)
{
        t->list = xcalloc(n, sizeof(*t->list));
        t->place = xcalloc(n, sizeof(*t->place));
}

int regexp_compile(struct arena *a, const char *pattern, size_t len, struct regexp **ret, const char **ret_why)
{
        struct regexp *re = new0(struct regexp);
        struct parser s = { .a = a, .re = re, .whole = pattern, .p = pattern, .end = pattern + len };
        unsigned weight = 1;
        int r;

        if (len > REGEXP_PATTERN_MAX)
                r = fail(&s, "expression too large", NULL, NULL);
        else
                r = parse_alternatives(&s, &weight);
        if (r == 0 && s.p < s.end)
                r = fail(&s, "unexpected )", s.whole, s.end);
        if (r == 0)
                r = emit(&s, (struct instruction){ .op = MATCH });
        if (r == 0 && s.pcre)
                r = compile_pcre(&s);
        if (r < 0) {
                if (ret_why)
                        *ret_why = s.why;
                regexp_free(re);
                return r;
        }
        threads_init(&re->now, re->n);
        threads_init(&re->next, re->n);
        re->stack = xcalloc(re->n + 1, sizeof(*re->stack));
        *ret = re;
        return 0;
}

void regexp_free(struct regexp *re)
{
        if (!re)
                return;
        pcre2_code_free(re->pcre);
        free(re->code);
        free(re->ranges);
        free(re->now.list);
        free(re->now.place);
        free(re->next.list);
        free(re->next.place);
        free(re->stack);
        free(re->pattern);
        free(re);
}

/* --- matching --- */

static bool word(const char *text, size_t len, size_t at)
{
        return at < len && (isalnum((unsigned char)text[at]) || text[at] == '_');
}

static bool holds(enum op op, const char *text, size_t len, size_t at)
{
        switch (op) {
        case BEGIN_TEXT: return at == 0;
        case END_TEXT: return at == len;
        case BEGIN_LINE: return at == 0 || text[at - 1] == '\n';
        case END_LINE: return at == len || text[at] == '\n';
        default: return ((at > 0 && word(text, len, at - 1)) != word(text, len, at)) == (op == WORD);
        }
}

static bool has_thread(const struct threads *t, uint32_t pc)
{
        return t->place[pc] < t->n && t->list[t->place[pc]].pc == pc;
}

/* Adds PC and what it leads to without taking a rune, the preferred ones first. Returns the steps it took. */
static uint64_t add_thread(struct regexp *re, struct threads *t, uint32_t pc, size_t start, const char *text, size_t len,
                           size_t at)
{
        uint64_t steps = 0;
        size_t n = 0;

        re->stack[n++] = pc;
        while (n) {
                uint32_t i = re->stack[--n];
                const struct instruction *in = &re->code[i];

                steps++;
                if (has_thread(t, i))
                        continue;
                t->place[i] = t->n;
                t->list[t->n++] = (struct thread){ i, start };
                if (in->op == SPLIT) {
                        re->stack[n++] = (uint32_t)((int32_t)i + in->y); /* each instruction is pushed at most twice, */
                        re->stack[n++] = (uint32_t)((int32_t)i + in->x); /* and taken once before it is again */
                } else if (in->op == JMP) {
                        re->stack[n++] = (uint32_t)((int32_t)i + in->x);
                } else if (in->op >= BEGIN_TEXT && holds((enum op)in->op, text, len, at)) {
                        re->stack[n++] = i + 1;
                }
        }
        return steps;
}

static bool takes(const struct regexp *re, const struct instruction *in, uint32_t c)
{
        switch (in->op) {
        case RUNE:
                return (uint32_t)in->x == c || (in->fold && c < 128 && (uint32_t)in->x == (c | 32) && isalpha((int)c));
        case ANY:
                return true;
        case ANY_NOT_NEWLINE:
                return c != '\n';
        case CLASS:
                for (int32_t i = in->x; i < in->y; i++)
                        if (c >= re->ranges[i].low && c <= re->ranges[i].high)
                                return !in->negated;
                return in->negated;
        default:
                return false;
        }
}

static int match_pcre(struct regexp *re, const char *text, size_t len, size_t start, size_t *ret_from, size_t *ret_to)
{
        pcre2_match_data *data = pcre2_match_data_create_from_pattern(re->pcre, NULL);
        pcre2_match_context *context = pcre2_match_context_create(NULL);
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
        int n;

        pcre2_set_match_limit(context, PCRE_STEPS);
        n = pcre2_match(re->pcre, (PCRE2_SPTR)text, len, start, 0, data, context);
        if (n >= 0 && ret_from) {
                *ret_from = at[0];
                *ret_to = at[1];
        }
        pcre2_match_data_free(data);
        pcre2_match_context_free(context);
        return n >= 0 ? 1 : n == PCRE2_ERROR_NOMATCH ? 0 : -ETIME;
}

/* One position: all threads take the rune C. A thread that has matched ends those that are less preferred. */
static bool step(struct regexp *re, const char *text, size_t len, size_t at, size_t behind, uint32_t c, uint64_t *steps,
                 size_t *ret_from)
{
        struct threads *now = &re->now, *next = &re->next;

        for (uint32_t i = 0; i < now->n; i++) {
                const struct instruction *in = &re->code[now->list[i].pc];

                *steps += 1 + (in->op == CLASS ? (uint64_t)(in->y - in->x) : 0);
                if (in->op == MATCH) {
                        *ret_from = now->list[i].start;
                        return true;
                }
                if (at < len && takes(re, in, c))
                        *steps += add_thread(re, next, now->list[i].pc + 1, now->list[i].start, text, len, behind);
        }
        return false;
}

int regexp_match(struct regexp *re, const char *text, size_t len, size_t start, size_t *ret_from, size_t *ret_to)
{
        bool anchored = re->code[0].op == BEGIN_TEXT, found = false;
        uint64_t steps = 0;

        if (re->pcre)
                return match_pcre(re, text, len, start, ret_from, ret_to);
        re->now.n = 0;
        for (size_t at = start; at <= len;) {
                size_t n = 0, from;
                uint32_t c = 0;
                struct threads swap;

                if (!found && (!anchored || at == 0))
                        steps += add_thread(re, &re->now, 0, at, text, len, at);
                if (re->now.n == 0)
                        break; /* found, or anchored elsewhere */
                if (at < len)
                        n = rune_at(text + at, text + len, &c);
                re->next.n = 0;
                if (step(re, text, len, at, at + n, c, &steps, &from)) {
                        if (!ret_from)
                                return 1;
                        found = true;
                        *ret_from = from;
                        *ret_to = at;
                }
                if (steps > REGEXP_STEPS_MAX)
                        return -ETIME;
                swap = re->now;
                re->now = re->next;
                re->next = swap;
                if (at == len)
                        break;
                at += n;
        }
        return found;
}

/* --- kept ones --- */

static struct regexp *cache[CACHE];

int regexp_cached(struct arena *a, const char *pattern, size_t len, struct regexp **ret, const char **ret_why)
{
        size_t hash = 5381;
        struct regexp **slot;
        int r;

        for (size_t i = 0; i < len; i++)
                hash = hash * 33 + (unsigned char)pattern[i];
        slot = &cache[hash % CACHE];
        if (*slot && (*slot)->pattern_len == len && memcmp((*slot)->pattern, pattern, len) == 0) {
                *ret = *slot;
                return 0;
        }
        r = regexp_compile(a, pattern, len, ret, ret_why);
        if (r < 0)
                return r;
        regexp_free(*slot);
        *slot = *ret;
        (*slot)->pattern = xstrndup(pattern, len);
        (*slot)->pattern_len = len;
        return 0;
}
