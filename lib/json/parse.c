/* The JSON parser: recursive descent with Go's error texts, because clients see them.
 *
 * The text is copied once into the arena, and strings that need no unescaping stay where they are in it: their
 * closing quotes become NULs. Arrays and objects collect their elements in a stack shared by the whole parse and
 * are copied out when they close, so that each node gets a list of just its size.
 *
 * What reads takes the place to read at and returns the place behind it, or NULL after an error: the place stays in
 * a register. The copy ends in a NUL, which is no part of JSON, so that only who finds something wrong asks whether
 * that is the end.
 */
#include "json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "../base/map.h"


struct frame;

struct parser {
        struct arena *arena;
        char *at;         /* where something is wrong, or odd */
        const char *end;
        bool trusted;     /* written from a tree: no key is there twice */
        int r;
        const struct json_limits *limits;
        size_t depth, max_depth, nodes, max_nodes;
        struct error *reterr;
        /* Open arrays and objects, element behind element. */
        struct json_member *stack;
        size_t n, cap;
        const struct frame *frame; /* the innermost object or array that is open */
};

/* Where in an open object or array the parser is: printed when a key is there twice. */
struct frame {
        const struct frame *up;
        const char *key; /* NULL: an array's item */
        uint32_t key_len;
        size_t index;
};

static char *parse_value(struct parser *p, char *at, struct json **ret);

static int fail_end(struct parser *p)
{
        return error_set(p->reterr, -EINVAL, "unexpected end of JSON input");
}

/* Go quotes the character: 'x', '\'' and '"' by themselves, others as %q would. */
static int fail_char(struct parser *p, const char *context)
{
        unsigned char c;
        char shown[8];

        if (p->at >= p->end)
                return fail_end(p);
        c = (unsigned char)*p->at;
        if (c == '\'')
                snprintf(shown, sizeof(shown), "\\'");
        else if (c == '\n')
                snprintf(shown, sizeof(shown), "\\n");
        else if (c == '\r')
                snprintf(shown, sizeof(shown), "\\r");
        else if (c == '\t')
                snprintf(shown, sizeof(shown), "\\t");
        else if (c == '\\')
                snprintf(shown, sizeof(shown), "\\\\");
        else if (c < 0x20 || c == 0x7f)
                snprintf(shown, sizeof(shown), "\\x%02x", c);
        else if (c < 0x80)
                snprintf(shown, sizeof(shown), "%c", c);
        else if (c < 0xa0 || c == 0xad)
                snprintf(shown, sizeof(shown), "\\u%04x", c);
        else /* Go looks at one byte and prints it as the code point of that number */
                snprintf(shown, sizeof(shown), "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
        return error_set(p->reterr, -EINVAL, "invalid character '%s' %s", shown, context);
}

/* Something is wrong at AT. */
static __attribute__((noinline)) char *fail_at(struct parser *p, char *at, const char *context)
{
        p->at = at;
        p->r = fail_char(p, context);
        return NULL;
}

static inline char *skip_space(char *at)
{
        while ((unsigned char)*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
                at++;
        return at;
}

static inline struct json *node(struct parser *p, enum json_type type)
{
        struct json *j;

        p->nodes++;
        j = arena_take(p->arena, sizeof(*j));
        *j = (struct json){ .type = type };
        return j;
}

static int hex4(struct parser *p, uint32_t *ret)
{
        *ret = 0;
        for (int i = 0; i < 4; i++, p->at++) {
                char c = p->at < p->end ? *p->at : 0;

                if (p->at >= p->end)
                        return fail_end(p);
                if (c >= '0' && c <= '9')
                        *ret = *ret << 4 | (uint32_t)(c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        *ret = *ret << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
                else
                        return fail_char(p, "in \\u hexadecimal character escape");
        }
        return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
        if (c < 0x80) {
                *out++ = (char)c;
        } else if (c < 0x800) {
                *out++ = (char)(0xc0 | c >> 6);
                *out++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
                *out++ = (char)(0xe0 | c >> 12);
                *out++ = (char)(0x80 | (c >> 6 & 0x3f));
                *out++ = (char)(0x80 | (c & 0x3f));
        } else {
                *out++ = (char)(0xf0 | c >> 18);
                *out++ = (char)(0x80 | (c >> 12 & 0x3f));
                *out++ = (char)(0x80 | (c >> 6 & 0x3f));
                *out++ = (char)(0x80 | (c & 0x3f));
        }
        return out;
}

/* \uXXXX, with surrogate pairs; lone halves become U+FFFD, as in Go. */
static int unescape_unicode(struct parser *p, char **out)
{
        uint32_t c, low;
        int r = hex4(p, &c);

        if (r < 0)
                return r;
        if (c >= 0xd800 && c < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' &&
            p->at[1] == 'u') {
                char *mark = p->at;

                p->at += 2;
                r = hex4(p, &low);
                if (r < 0)
                        return r;
                if (low >= 0xdc00 && low < 0xe000) {
                        *out = put_utf8(*out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
                        return 0;
                }
                p->at = mark;
        }
        *out = put_utf8(*out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
        return 0;
}

static int unescape(struct parser *p, char **out)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *found;

        p->at++;
        if (p->at >= p->end)
                return fail_end(p);
        if (*p->at == 'u') {
                p->at++;
                return unescape_unicode(p, out);
        }
        found = *p->at ? strchr(from, *p->at) : NULL;
        if (!found)
                return fail_char(p, "in string escape code");
        *(*out)++ = to[found - from];
        p->at++;
        return 0;
}

/* How many bytes of valid UTF-8 start at s (RFC 3629), 0 if none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
        size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

        if (s[0] < 0xc2 || s[0] > 0xf4 || left < n)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
            (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

/* The first byte at or after S that is no plain ASCII of a string: sixteen at a time, or eight. */
static inline const char *skip_plain(const char *s, const char *end)
{
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;

#ifdef __SSE2__
        for (; end - s >= 16; s += 16) {
                __m128i x = _mm_loadu_si128((const __m128i *)s);
                __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                                        _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))),
                                           _mm_cmplt_epi8(x, _mm_set1_epi8(0x20))); /* what is above 127 is negative */
                int found = _mm_movemask_epi8(odd);

                if (found)
                        return s + __builtin_ctz((unsigned)found);
        }
#endif
        for (; end - s >= 8; s += 8) {
                uint64_t x, quote, slash, found;

                memcpy(&x, s, sizeof(x));
                quote = x ^ ones * '"';
                slash = x ^ ones * '\\';
                /* A byte that is 0, below a space, or above 127 leaves its top bit; bits above the lowest may err. */
                found = (x | (x - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops;
                if (found && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
                        return s + (__builtin_ctzll(found) >> 3);
                if (found)
                        break;
        }
        while (s < end && *s != '"' && *s != '\\' && (unsigned char)*s >= 0x20 && (unsigned char)*s < 0x80)
                s++;
        return s;
}

/* With escapes, or bytes outside ASCII, or an error, of which SCAN is the first. Invalid UTF-8 becomes U+FFFD, as in Go. */
__attribute__((noinline)) static int parse_odd_string(struct parser *p, const char *scan, const char **ret, uint32_t *ret_len)
{
        size_t room = 1;
        char *text, *out;

        for (; scan < p->end && *scan != '"' && (unsigned char)*scan >= 0x20; scan++) {
                if ((unsigned char)*scan >= 0x80)
                        room += 2; /* a bad byte becomes three */
                if (*scan == '\\')
                        scan++;
        }
        room += (size_t)(MIN(scan, p->end) - p->at);
        out = text = arena_alloc(p->arena, room + 4);
        for (;;) {
                size_t n;
                int r;

                if (p->at >= p->end)
                        return fail_end(p);
                unsigned char c = (unsigned char)*p->at;
                if (c == '"')
                        break;
                if (c < 0x20)
                        return fail_char(p, "in string literal");
                if (c == '\\') {
                        r = unescape(p, &out);
                        if (r < 0)
                                return r;
                } else if (c < 0x80) {
                        n = (size_t)(skip_plain(p->at, p->end) - p->at);
                        out = mempcpy(out, p->at, n);
                        p->at += n;
                } else if ((n = utf8_len((const unsigned char *)p->at, p->end - p->at))) {
                        memcpy(out, p->at, n);
                        out += n;
                        p->at += n;
                } else {
                        out = put_utf8(out, 0xfffd);
                        p->at++;
                }
        }
        p->at++;
        *out = '\0';
        *ret = text;
        *ret_len = out - text;
        return 0;
}

/* AT is behind the opening quote. */
static inline char *parse_string(struct parser *p, char *at, const char **ret, uint32_t *ret_len)
{
        char *scan = (char *)skip_plain(at, p->end);

        if (*scan != '"') {
                p->at = at;
                p->r = parse_odd_string(p, scan, ret, ret_len);
                return p->r < 0 ? NULL : p->at;
        }
        *ret_len = (uint32_t)(scan - at);
        *ret = at;
        *scan = '\0'; /* the closing quote */
        return scan + 1;
}

static inline bool digit(char c)
{
        return c >= '0' && c <= '9';
}

static char *parse_digits(struct parser *p, char *at, const char *context)
{
        if (!digit(*at))
                return fail_at(p, at, context);
        while (digit(*at))
                at++;
        return at;
}

static char *parse_number(struct parser *p, char *at, struct json *j)
{
        char *from = at;

        at += *at == '-';
        at = *at == '0' ? at + 1 : parse_digits(p, at, "in numeric literal");
        if (at && *at == '.')
                at = parse_digits(p, at + 1, "after decimal point in numeric literal");
        if (at && (*at | 0x20) == 'e') {
                at++;
                at = parse_digits(p, at + (*at == '+' || *at == '-'), "in exponent of numeric literal");
        }
        if (!at)
                return NULL;
        j->len = (uint32_t)(at - from);
        j->str = arena_strndup(p->arena, from, j->len);
        return at;
}

static char *parse_literal(struct parser *p, char *at, const char *word)
{
        for (size_t i = 0; word[i]; i++) {
                char context[64];

                if (at[i] == word[i])
                        continue;
                snprintf(context, sizeof(context), "in literal %s (expecting '%c')", word, word[i]);
                return fail_at(p, at + i, context);
        }
        return at + strlen(word);
}

static __attribute__((noinline)) void grow_stack(struct parser *p)
{
        array_reserve(p->stack, p->cap, MAX(p->n + 1, (size_t)64));
}

static inline struct json_member *push(struct parser *p)
{
        if (p->n == p->cap)
                grow_stack(p);
        return &p->stack[p->n++];
}

/* Behind the string that starts behind AT's quote; its escapes and bytes are checked as parse_string() does. */
static char *pass_string(struct parser *p, char *at)
{
        for (;; at++) {
                if (*at == '"')
                        return at + 1;
                if ((unsigned char)*at < 0x20)
                        return fail_at(p, at, "in string literal");
                if (*at != '\\')
                        continue;
                at++;
                if (*at == 'u') {
                        for (int i = 0; i < 4; i++)
                                if (!isxdigit((unsigned char)*++at))
                                        return fail_at(p, at, "in \\u hexadecimal character escape");
                } else if (!*at || !strchr("\"\\/bfnrt", *at)) {
                        return fail_at(p, at, "in string escape code");
                }
        }
}

/* What lies so deep that no tree may: AT is at its bracket. Checked with a bit a level instead of a call (OPEN: whether it is
 * an object). */
static char *pass_nested(struct parser *p, char *at, unsigned char *open)
{
        struct json scalar;
        size_t n = 0;
        bool value = true; /* one is due; else what may follow one */

        for (;; at = skip_space(at)) {
                if (value && (*at == '{' || *at == '[')) {
                        if (p->depth + n == JSON_GO_DEPTH) {
                                p->r = error_set(p->reterr, -E2BIG, "exceeded max depth");
                                return NULL;
                        }
                        open[n++] = *at == '{';
                        at = skip_space(at + 1);
                        value = open[n - 1] ? *at != '}' : *at != ']';
                } else if (value) {
                        value = false;
                        at = *at == '"' ? pass_string(p, at + 1) :
                             *at == 't' ? parse_literal(p, at, "true") :
                             *at == 'f' ? parse_literal(p, at, "false") :
                             *at == 'n' ? parse_literal(p, at, "null") :
                             *at == '-' || isdigit((unsigned char)*at) ? parse_number(p, at, &scalar) :
                                                                         fail_at(p, at, "looking for beginning of value");
                } else if (*at == (open[n - 1] ? '}' : ']')) {
                        at++;
                        if (--n == 0)
                                return at;
                } else if (*at == ',') {
                        at = skip_space(at + 1);
                        value = true;
                } else {
                        at = fail_at(p, at, open[n - 1] ? "after object key:value pair" : "after array element");
                }
                if (at && value && open[n - 1] && n) { /* a key first */
                        at = *at == '"' ? pass_string(p, at + 1) : fail_at(p, at, "looking for beginning of object key string");
                        at = at ? skip_space(at) : NULL;
                        at = at && *at != ':' ? fail_at(p, at, "after object key") : at;
                        at = at ? at + 1 : NULL;
                }
                if (!at)
                        return NULL;
        }
}

static __attribute__((noinline)) char *keep_nested(struct parser *p, char *at, struct json *j)
{
        _cleanup_free_ unsigned char *open = xmalloc(JSON_GO_DEPTH);
        char *end = pass_nested(p, at, open);

        if (!end)
                return NULL;
        j->type = JSON_NUMBER;
        j->len = (uint32_t)(end - at);
        j->str = arena_strndup(p->arena, at, j->len);
        return end;
}

/* Whether what begins here is too deep for a tree. */
static inline bool is_too_deep(const struct parser *p)
{
        return p->depth == JSON_MAX_DEPTH && p->max_depth == JSON_GO_DEPTH;
}

static bool enter(struct parser *p)
{
        if (++p->depth <= p->max_depth)
                return true;
        p->r = error_set(p->reterr, -E2BIG, "exceeded max depth");
        return false;
}

/* spec.containers[0].name */
static void print_frames(struct strbuf *b, const struct frame *f)
{
        if (!f)
                return;
        print_frames(b, f->up);
        if (!f->key) {
                strbuf_printf(b, "[%zu]", f->index);
                return;
        }
        if (b->len)
                strbuf_putc(b, '.');
        strbuf_append(b, f->key, f->key_len);
}

/* Takes what was pushed since MARK off the stack as the items of J. */
static void close_array(struct parser *p, struct json *j, size_t mark)
{
        j->len = j->cap = p->n - mark;
        if (j->len)
                j->items = arena_take(p->arena, j->len * sizeof(*j->items));
        for (size_t i = 0; i < j->len; i++)
                j->items[i] = p->stack[mark + i].value;
        p->n = mark;
        p->depth--;
}

/* AT is behind the bracket. */
static char *parse_array(struct parser *p, char *at, struct json *j)
{
        struct frame frame = { .up = p->frame };
        size_t mark = p->n;

        if (!enter(p))
                return NULL;
        at = skip_space(at);
        if (*at == ']') {
                close_array(p, j, mark);
                return at + 1;
        }
        p->frame = &frame;
        for (;; frame.index++) {
                struct json *item;

                at = parse_value(p, skip_space(at), &item);
                if (!at)
                        return NULL;
                push(p)->value = item;
                at = skip_space(at);
                if (*at == ']')
                        break;
                if (*at != ',')
                        return fail_at(p, at, "after array element");
                at++;
        }
        p->frame = frame.up;
        close_array(p, j, mark);
        return at + 1;
}

static void note_duplicate(struct parser *p, const struct json_member *m)
{
        const struct frame frame = { .up = p->frame, .key = m->key, .key_len = m->key_len };
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

        if (!p->limits || !p->limits->on_duplicate)
                return;
        print_frames(&path, &frame);
        p->limits->on_duplicate(strbuf_str(&path), p->limits->userdata);
}

/* Whether a member of J, which has the tags in J->names, has M's key; then its value is M's now. */
static bool replaces(struct json *j, const struct json_member *m)
{
        if (!(j->names & json_tag_bit(m->tag)))
                return false;
        for (struct json_member *k = j->members, *end = k + j->len; k < end; k++)
                if (k->tag == m->tag && k->key_len == m->key_len && json_same_key(k->key, m->key, m->key_len)) {
                        k->value = m->value;
                        return true;
                }
        return false;
}

/* Moves the members since MARK into J; of equal keys the last value wins, at the first's place. */
static void close_object(struct parser *p, struct json *j, size_t mark)
{
        size_t n = p->n - mark;
        struct json_member *m, *end;

        p->n = mark;
        p->depth--;
        if (!n)
                return;
        m = p->stack + mark;
        end = m + n;
        if (n > JSON_INDEX_FROM) {
                /* Builds the index on the way: linear work for hostile sizes too. */
                for (uint32_t before = 0; m < end; m++, before = j->len) {
                        json_put(p->arena, j, m->key, m->key_len, m->tag, m->value);
                        if (j->len == before)
                                note_duplicate(p, m);
                }
                return;
        }
        j->members = arena_take(p->arena, n * sizeof(*j->members));
        j->cap = n;
        for (; m < end; m++) {
                if (!p->trusted && replaces(j, m)) {
                        note_duplicate(p, m);
                        continue;
                }
                j->names |= json_tag_bit(m->tag);
                j->members[j->len++] = *m;
        }
}

static inline char *parse_member(struct parser *p, char *at, struct frame *frame)
{
        struct json_member m;

        at = skip_space(at);
        if (*at != '"')
                return fail_at(p, at, "looking for beginning of object key string");
        at = parse_string(p, at + 1, &m.key, &m.key_len);
        if (!at)
                return NULL;
        m.tag = json_tag(m.key, m.key_len);
        at = skip_space(at);
        if (*at != ':')
                return fail_at(p, at, "after object key");
        frame->key = m.key;
        frame->key_len = m.key_len;
        at = parse_value(p, skip_space(at + 1), &m.value);
        if (!at)
                return NULL;
        *push(p) = m;
        return at;
}

/* AT is behind the brace. */
static char *parse_object(struct parser *p, char *at, struct json *j)
{
        struct frame frame = { .up = p->frame };
        size_t mark = p->n;

        if (!enter(p))
                return NULL;
        at = skip_space(at);
        if (*at == '}') {
                close_object(p, j, mark);
                return at + 1;
        }
        p->frame = &frame;
        for (;;) {
                at = parse_member(p, at, &frame);
                if (!at)
                        return NULL;
                at = skip_space(at);
                if (*at == '}')
                        break;
                if (*at != ',')
                        return fail_at(p, at, "after object key:value pair");
                at++;
        }
        p->frame = frame.up;
        close_object(p, j, mark);
        return at + 1;
}

/* AT is at the value's first byte. */
static char *parse_value(struct parser *p, char *at, struct json **ret)
{
        struct json *j;

        if (p->nodes >= p->max_nodes && at < p->end) {
                p->r = error_set(p->reterr, -E2BIG, "JSON input has more than %zu values", p->max_nodes);
                return NULL;
        }
        switch (*at) {
        case '"':
                *ret = j = node(p, JSON_STRING);
                return parse_string(p, at + 1, &j->str, &j->len);
        case '{':
                *ret = j = node(p, JSON_OBJECT);
                return is_too_deep(p) ? keep_nested(p, at, j) : parse_object(p, at + 1, j);
        case '[':
                *ret = j = node(p, JSON_ARRAY);
                return is_too_deep(p) ? keep_nested(p, at, j) : parse_array(p, at + 1, j);
        case 't':
        case 'f':
                *ret = j = node(p, JSON_BOOL);
                j->boolean = *at == 't';
                return parse_literal(p, at, j->boolean ? "true" : "false");
        case 'n':
                *ret = node(p, JSON_NULL);
                return parse_literal(p, at, "null");
        case '-':
        case '0' ... '9':
                *ret = j = node(p, JSON_NUMBER);
                return parse_number(p, at, j);
        default:
                return fail_at(p, at, "looking for beginning of value");
        }
}

/* TEXT, which a NUL ends, becomes part of the tree. */
static int parse_all(struct parser *p, char *text, size_t len, struct json **ret)
{
        struct json *j;
        char *at;

        p->end = text + len;
        p->max_depth = p->limits && p->limits->max_depth ? p->limits->max_depth : JSON_GO_DEPTH;
        p->max_nodes = p->limits && p->limits->max_nodes ? p->limits->max_nodes : SIZE_MAX;
        at = parse_value(p, skip_space(text), &j);
        if (at) {
                at = skip_space(at);
                if (at < p->end)
                        fail_at(p, at, "after top-level value");
        }
        free(p->stack);
        if (p->r == 0)
                *ret = j;
        return p->r;
}

int json_parse(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
               struct json **ret, struct error *reterr)
{
        struct parser p = { .arena = a, .limits = limits, .reterr = reterr };

        return parse_all(&p, arena_strndup(a, text, len), len, ret);
}

int json_parse_written(struct arena *a, const char *text, size_t len, struct json **ret)
{
        struct parser p = { .arena = a, .trusted = true };

        return parse_all(&p, arena_strndup(a, text, len), len, ret);
}
