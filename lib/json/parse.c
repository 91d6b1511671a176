/* The JSON parser: recursive descent with Go's error texts, because clients see them.
 *
 * The text is copied once into the arena, and strings that need no unescaping stay where they are in it: their
 * closing quotes become NULs. Arrays and objects collect their elements in a stack shared by the whole parse and
 * are copied out when they close, so that each node gets a list of just its size.
 */
#include "json.h"

#include <errno.h>
#include <stdio.h>

#include "../base/map.h"


struct parser {
        struct arena *arena;
        char *start;      /* the text, ours to change */
        const char *at, *end;
        bool trusted;     /* written from a tree: no key is there twice */
        const struct json_limits *limits;
        size_t depth, nodes;
        struct error *reterr;
        /* Open arrays and objects, element behind element. */
        struct json_member *stack;
        size_t n, cap;
        /* The way to the value at hand, for duplicate keys: kept only when somebody asks. */
        struct strbuf path;
};

static int parse_value(struct parser *p, struct json **ret);

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

static void skip_space(struct parser *p)
{
        while (p->at < p->end &&
               (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
                p->at++;
}

static int node(struct parser *p, enum json_type type, struct json **ret)
{
        struct json *j;

        if (p->limits && p->limits->max_nodes && p->nodes >= p->limits->max_nodes)
                return error_set(p->reterr, -E2BIG, "JSON input has more than %zu values",
                                 p->limits->max_nodes);
        p->nodes++;
        j = arena_calloc(p->arena, sizeof(*j));
        j->type = type;
        *ret = j;
        return 0;
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
                const char *mark = p->at;

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

/* The first byte at or after S that is no plain ASCII of a string: eight at a time. */
static const char *skip_plain(const char *s, const char *end)
{
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;

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
                        *out++ = *p->at++;
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

/* After the opening quote. */
static int parse_string(struct parser *p, const char **ret, uint32_t *ret_len)
{
        const char *scan = skip_plain(p->at, p->end);

        if (scan == p->end || *scan != '"')
                return parse_odd_string(p, scan, ret, ret_len);
        *ret_len = scan - p->at;
        *ret = p->at;
        p->start[scan - p->start] = '\0'; /* the closing quote */
        p->at = scan + 1;
        return 0;
}

static bool digit(const struct parser *p)
{
        return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static int parse_digits(struct parser *p, const char *context)
{
        if (!digit(p))
                return fail_char(p, context);
        while (digit(p))
                p->at++;
        return 0;
}

static int parse_number(struct parser *p, struct json *j)
{
        const char *from = p->at;
        int r = 0;

        if (*p->at == '-')
                p->at++;
        if (p->at < p->end && *p->at == '0')
                p->at++;
        else
                r = parse_digits(p, "in numeric literal");
        if (r == 0 && p->at < p->end && *p->at == '.') {
                p->at++;
                r = parse_digits(p, "after decimal point in numeric literal");
        }
        if (r == 0 && p->at < p->end && (*p->at | 0x20) == 'e') {
                p->at++;
                if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
                        p->at++;
                r = parse_digits(p, "in exponent of numeric literal");
        }
        if (r < 0)
                return r;
        j->len = p->at - from;
        j->str = arena_strndup(p->arena, from, j->len);
        return 0;
}

static int parse_literal(struct parser *p, const char *word)
{
        p->at++;
        for (size_t i = 1; word[i]; i++, p->at++) {
                char context[64];

                if (p->at < p->end && *p->at == word[i])
                        continue;
                snprintf(context, sizeof(context), "in literal %s (expecting '%c')", word, word[i]);
                return fail_char(p, context);
        }
        return 0;
}

static struct json_member *push(struct parser *p)
{
        array_reserve(p->stack, p->cap, p->n + 1);
        return &p->stack[p->n++];
}

static int enter(struct parser *p)
{
        size_t max = p->limits && p->limits->max_depth ? p->limits->max_depth : JSON_MAX_DEPTH;

        p->at++;
        if (++p->depth > max)
                return error_set(p->reterr, -E2BIG, "exceeded max depth");
        return 0;
}

static bool tracks_path(const struct parser *p)
{
        return p->limits && p->limits->on_duplicate;
}

static void push_key(struct parser *p, const char *key, size_t len)
{
        if (p->path.len)
                strbuf_putc(&p->path, '.');
        strbuf_append(&p->path, key, len);
}

static void push_index(struct parser *p, size_t i)
{
        strbuf_putc(&p->path, '[');
        if (i < 10)
                strbuf_putc(&p->path, (char)('0' + i)); /* nearly all */
        else
                strbuf_printf(&p->path, "%zu", i);
        strbuf_putc(&p->path, ']');
}

/* Scalars hold no keys: nobody will ask where they are. */
static bool at_container(struct parser *p)
{
        skip_space(p);
        return p->at < p->end && (*p->at == '{' || *p->at == '[');
}

/* Takes what was pushed since MARK off the stack as the items of J. */
static void close_array(struct parser *p, struct json *j, size_t mark)
{
        j->len = j->cap = p->n - mark;
        if (j->len)
                j->items = arena_alloc(p->arena, j->len * sizeof(*j->items));
        for (size_t i = 0; i < j->len; i++)
                j->items[i] = p->stack[mark + i].value;
        p->n = mark;
        p->depth--;
        p->at++;
}

static int parse_array(struct parser *p, struct json *j)
{
        size_t mark = p->n, path = p->path.len;
        int r = enter(p);

        if (r < 0)
                return r;
        skip_space(p);
        if (p->at < p->end && *p->at == ']') {
                close_array(p, j, mark);
                return 0;
        }
        for (;;) {
                struct json *item;

                if (tracks_path(p) && at_container(p))
                        push_index(p, p->n - mark);
                r = parse_value(p, &item);
                if (r < 0)
                        return r;
                p->path.len = path;
                push(p)->value = item;
                skip_space(p);
                if (p->at < p->end && *p->at == ']')
                        break;
                if (p->at >= p->end || *p->at != ',')
                        return fail_char(p, "after array element");
                p->at++;
        }
        close_array(p, j, mark);
        return 0;
}

static void note_duplicate(struct parser *p, const struct json_member *m)
{
        size_t path = p->path.len;

        if (!tracks_path(p))
                return;
        push_key(p, m->key, m->key_len);
        p->limits->on_duplicate(strbuf_str(&p->path), p->limits->userdata);
        p->path.len = path;
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
        struct json_member *m = p->stack + mark, *end = p->stack + p->n;
        size_t n = p->n - mark;

        p->n = mark;
        p->depth--;
        p->at++;
        if (n > JSON_INDEX_FROM) {
                /* Builds the index on the way: linear work for hostile sizes too. */
                for (uint32_t before = 0; m < end; m++, before = j->len) {
                        json_put(p->arena, j, m->key, m->key_len, m->tag, m->value);
                        if (j->len == before)
                                note_duplicate(p, m);
                }
                return;
        }
        if (n)
                j->members = arena_alloc(p->arena, n * sizeof(*j->members));
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

static int parse_member(struct parser *p, const char *context)
{
        struct json_member m = { 0 };
        size_t path = p->path.len;
        int r;

        skip_space(p);
        if (p->at >= p->end || *p->at != '"')
                return fail_char(p, context);
        p->at++;
        r = parse_string(p, &m.key, &m.key_len);
        if (r < 0)
                return r;
        m.tag = json_tag(m.key, m.key_len);
        skip_space(p);
        if (p->at >= p->end || *p->at != ':')
                return fail_char(p, "after object key");
        p->at++;
        if (tracks_path(p) && at_container(p))
                push_key(p, m.key, m.key_len);
        r = parse_value(p, &m.value);
        if (r < 0)
                return r;
        p->path.len = path;
        *push(p) = m;
        return 0;
}

static int parse_object(struct parser *p, struct json *j)
{
        size_t mark = p->n;
        int r = enter(p);

        if (r < 0)
                return r;
        skip_space(p);
        if (p->at < p->end && *p->at == '}') {
                close_object(p, j, mark);
                return 0;
        }
        for (;;) {
                r = parse_member(p, "looking for beginning of object key string");
                if (r < 0)
                        return r;
                skip_space(p);
                if (p->at < p->end && *p->at == '}')
                        break;
                if (p->at >= p->end || *p->at != ',')
                        return fail_char(p, "after object key:value pair");
                p->at++;
        }
        close_object(p, j, mark);
        return 0;
}

static int parse_value(struct parser *p, struct json **ret)
{
        struct json *j = NULL;
        int r;

        skip_space(p);
        if (p->at >= p->end)
                return fail_end(p);
        switch (*p->at) {
        case '{':
                r = node(p, JSON_OBJECT, &j);
                r = r < 0 ? r : parse_object(p, j);
                break;
        case '[':
                r = node(p, JSON_ARRAY, &j);
                r = r < 0 ? r : parse_array(p, j);
                break;
        case '"':
                r = node(p, JSON_STRING, &j);
                p->at++;
                r = r < 0 ? r : parse_string(p, &j->str, &j->len);
                break;
        case 't':
        case 'f':
                r = node(p, JSON_BOOL, &j);
                if (r == 0)
                        j->boolean = *p->at == 't';
                r = r < 0 ? r : parse_literal(p, *p->at == 't' ? "true" : "false");
                break;
        case 'n':
                r = node(p, JSON_NULL, &j);
                r = r < 0 ? r : parse_literal(p, "null");
                break;
        case '-':
        case '0' ... '9':
                r = node(p, JSON_NUMBER, &j);
                r = r < 0 ? r : parse_number(p, j);
                break;
        default:
                return fail_char(p, "looking for beginning of value");
        }
        if (r == 0)
                *ret = j;
        return r;
}

static int parse_all(struct parser *p, struct json **ret)
{
        struct json *j;
        int r = parse_value(p, &j);

        if (r == 0) {
                skip_space(p);
                if (p->at < p->end)
                        r = fail_char(p, "after top-level value");
        }
        free(p->stack);
        strbuf_deinit(&p->path);
        if (r == 0)
                *ret = j;
        return r;
}

int json_parse(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
               struct json **ret, struct error *reterr)
{
        char *copy = arena_memdup(a, text, len);
        struct parser p = {
                .arena = a,
                .start = copy,
                .at = copy,
                .end = copy + len,
                .limits = limits,
                .reterr = reterr,
        };

        return parse_all(&p, ret);
}

int json_parse_own(struct arena *a, char *text, size_t len, struct json **ret)
{
        struct parser p = {.arena = a, .start = text, .at = text, .end = text + len, .trusted = true};

        return parse_all(&p, ret);
}
