/* Skimming JSON text (skim.h): 64 bytes at a time where nothing but brackets and quotes matters.
 *
 * Of each block of 64 bytes one mask says where the quotes are, and from those another which bytes lie inside
 * strings: a bit is set where an odd number of quotes came before it. Brackets outside strings are then
 * counted from a mask of their own. Only blocks with backslashes are looked at byte by byte, since what follows a
 * backslash is no quote.
 */
#include "skim.h"

/* The first quote or backslash at or after P. */
static inline const char *find_special(const char *p, const char *end)
{
#ifdef __SSE2__
        const __m128i quotes = _mm_set1_epi8('"'), slashes = _mm_set1_epi8('\\');

        for (; end - p >= 16; p += 16) {
                __m128i x = _mm_loadu_si128((const __m128i *)p);
                int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, quotes), _mm_cmpeq_epi8(x, slashes)));

                if (found)
                        return p + __builtin_ctz((unsigned)found);
        }
#endif
        while (p < end && *p != '"' && *p != '\\')
                p++;
        return p;
}

bool json_skim_long_string(struct json_skim *s, struct json_skimmed *ret)
{
        const char *from = s->p + 1, *p;
        bool escaped = false;

        if (s->p >= s->end || *s->p != '"')
                return false;
        p = find_special(from, s->end);
        while (p < s->end && *p == '\\') {
                escaped = true;
                if (s->end - p < 2)
                        return false;
                p = find_special(p + 2, s->end);
        }
        if (p >= s->end)
                return false;
        *ret = (struct json_skimmed){ .p = from, .len = (size_t)(p - from), .escaped = escaped };
        s->p = p + 1;
        return true;
}

bool json_skim_key(struct json_skim *s, struct json_skimmed *ret)
{
        if (!json_skim_string(s, ret))
                return false;
        json_skim_space(s);
        if (s->p >= s->end || *s->p != ':')
                return false;
        s->p++;
        json_skim_space(s);
        return true;
}

#ifdef __SSE2__
struct masks {
        uint64_t quotes, slashes, opens, closes;
};

static inline struct masks look_at(const char *p)
{
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), lower = _mm_set1_epi8(0x20);
        const __m128i open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}'); /* [ and ] differ from them by one bit */
        struct masks m = { 0 };

#pragma GCC unroll 4
        for (unsigned i = 0; i < 64; i += 16) {
                __m128i x = _mm_loadu_si128((const __m128i *)(p + i)), y = _mm_or_si128(x, lower);

                m.quotes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, quote)) << i;
                m.slashes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, slash)) << i;
                m.opens |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(y, open)) << i;
                m.closes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(y, close)) << i;
        }
        return m;
}

/* The quotes that no backslash is before. *CARRY: the block begins behind a backslash that counts. */
static inline uint64_t true_quotes(const struct masks *m, bool *carry)
{
        uint64_t quotes = m->quotes, slashes = m->slashes;

        if (*carry) {
                quotes &= ~UINT64_C(1);
                slashes &= ~UINT64_C(1);
                *carry = false;
        }
        while (slashes) {
                unsigned at = (unsigned)__builtin_ctzll(slashes);

                if (at == 63) {
                        *carry = true;
                        break;
                }
                quotes &= ~(UINT64_C(2) << at);
                slashes &= ~(UINT64_C(3) << at);
        }
        return quotes;
}

/* Each bit: whether an odd number of bits of X are set up to it. */
static inline uint64_t odd_so_far(uint64_t x)
{
#pragma GCC unroll 6
        for (unsigned i = 1; i < 64; i *= 2)
                x ^= x << i;
        return x;
}

/* As far as whole blocks go. True: S is behind the value. */
static bool skim_blocks(struct json_skim *s, size_t *open, bool *in_string, bool *escaped)
{
        uint64_t inside = *in_string ? ~UINT64_C(0) : 0;

        for (; s->end - s->p >= 64; s->p += 64) {
                struct masks m = look_at(s->p);
                uint64_t strings = odd_so_far(true_quotes(&m, escaped)) ^ inside;
                uint64_t opens = m.opens & ~strings, closes = m.closes & ~strings;
                uint64_t empty = opens & closes >> 1; /* {} and [] change nothing, and half of managed fields are such */

                inside = (uint64_t)((int64_t)strings >> 63);
                opens ^= empty;
                closes ^= empty << 1;
                for (uint64_t all = opens | closes; all; all &= all - 1) {
                        bool opening = opens & all & -all;

                        *open += opening ? 1 : (size_t)-1;
                        if (!opening && *open == 0) {
                                s->p += __builtin_ctzll(all) + 1;
                                return true;
                        }
                }
        }
        *in_string = inside;
        return false;
}
#endif

static bool skim_nested(struct json_skim *s)
{
        size_t open = 1;
        bool in_string = false, escaped = false;

        s->p++; /* over the bracket, so that the pair of an empty value is not taken for nothing */

#ifdef __SSE2__
        if (skim_blocks(s, &open, &in_string, &escaped))
                return true;
#endif
        for (; s->p < s->end; s->p++) {
                char c = *s->p;

                if (escaped) {
                        escaped = false;
                } else if (c == '\\') {
                        escaped = true; /* JSON has them in strings only */
                } else if (c == '"') {
                        in_string = !in_string;
                } else if (!in_string && (c == '{' || c == '[')) {
                        open++;
                } else if (!in_string && (c == '}' || c == ']') && --open == 0) {
                        s->p++;
                        return true;
                }
        }
        return false;
}

bool json_skim_value(struct json_skim *s)
{
        static const unsigned char ends[256] = {
                [','] = 1, [':'] = 1, ['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1,
                ['"'] = 1, [' '] = 1, ['\n'] = 1, ['\t'] = 1, ['\r'] = 1,
        };
        struct json_skimmed ignored;
        const char *from = s->p;

        if (s->p >= s->end)
                return false;
        if (*s->p == '"')
                return json_skim_string(s, &ignored);
        if (*s->p == '{' || *s->p == '[')
                return skim_nested(s);
        while (s->p < s->end && !ends[(unsigned char)*s->p])
                s->p++;
        return s->p > from;
}

struct json *json_skim_unescape(struct arena *a, const struct json_skimmed *t)
{
        struct json *j;

        if (!t->escaped)
                return json_new_stringn(a, t->p, t->len);
        return json_parse(a, t->p - 1, t->len + 2, NULL, &j, NULL) < 0 ? NULL : j;
}

/* --- trees of some of the text --- */

struct json_want *json_want_member(const struct json_want *w, const char *key, size_t len)
{
        uint32_t tag = json_tag(key, len);

        if (!(w->names & json_tag_bit(tag)))
                return NULL;
        for (unsigned i = 0; i < w->n; i++)
                if (w->below[i].tag == tag && w->below[i].len == len && json_same_key(w->below[i].key, key, len))
                        return &w->below[i];
        return NULL;
}

static struct json_want *add_want(struct arena *a, struct json_want *w, const char *key, size_t len)
{
        struct json_want *below = arena_alloc(a, (w->n + 1) * sizeof(*below));

        if (w->n)
                memcpy(below, w->below, w->n * sizeof(*below));
        below[w->n] = (struct json_want){ .key = arena_strndup(a, key, len), .len = len, .tag = json_tag(key, len) };
        w->below = below;
        w->names |= json_tag_bit(below[w->n].tag);
        return &below[w->n++];
}

void json_want_path(struct arena *a, struct json_want *root, const char *path, size_t len)
{
        const char *end = path + len;
        struct json_want *w = root, *next;

        while (path < end && !w->all) {
                const char *dot = memchr(path, '.', (size_t)(end - path)) ?: end;

                next = json_want_member(w, path, (size_t)(dot - path));
                w = next ? next : add_want(a, w, path, (size_t)(dot - path));
                path = dot + (dot < end);
        }
        if (!len || end[-1] != '.')
                w->all = true;
}

static struct json *select_value(struct arena *a, struct json_skim *s, struct json_want *w);

static struct json *select_object(struct arena *a, struct json_skim *s, struct json_want *w)
{
        struct json *j = json_new_object(a);
        struct json_skimmed key;
        int r;

        if (!w->n)
                return json_skim_value(s) ? j : NULL;
        j->members = arena_alloc(a, w->n * sizeof(*j->members));
        j->cap = w->n;
        for (r = json_skim_begin(s, '}'); r > 0; r = json_skim_next(s, '}')) {
                struct json_want *m;
                struct json *v;
                uint32_t i = 0;

                if (!json_skim_key(s, &key))
                        return NULL;
                m = json_want_member(w, key.p, key.len);
                if (!m) {
                        if (!json_skim_value(s))
                                return NULL;
                        continue;
                }
                m->text = s->p;
                v = select_value(a, s, m);
                if (!v)
                        return NULL;
                m->text_len = (size_t)(s->p - m->text);
                while (i < j->len && j->members[i].key != m->key)
                        i++;
                j->members[i] = (struct json_member){ .key = m->key, .key_len = (uint32_t)m->len, .tag = m->tag, .value = v };
                j->names |= json_tag_bit(m->tag);
                j->len = MAX(j->len, i + 1);
        }
        return r == 0 ? j : NULL;
}

static struct json *select_items(struct arena *a, struct json_skim *s, struct json_want *w)
{
        struct json *j = json_new_array(a);
        int r;

        for (r = json_skim_begin(s, ']'); r > 0; r = json_skim_next(s, ']')) {
                struct json *v = select_value(a, s, w);

                if (!v)
                        return NULL;
                json_append(a, j, v);
        }
        return r == 0 ? j : NULL;
}

/* NULL: the text has no value there. */
static struct json *select_value(struct arena *a, struct json_skim *s, struct json_want *w)
{
        const char *from = s->p;
        struct json_skimmed string;
        struct json *j;

        if (s->p < s->end && *s->p == '{' && !w->all)
                return select_object(a, s, w);
        if (s->p < s->end && *s->p == '[' && !w->all)
                return select_items(a, s, w);
        if (s->p < s->end && *s->p == '"')
                return json_skim_string(s, &string) ? json_skim_unescape(a, &string) : NULL;
        if (!json_skim_value(s))
                return NULL;
        if (*from >= '0' && *from <= '9')
                return json_new_number(a, from, (size_t)(s->p - from));
        return json_parse(a, from, (size_t)(s->p - from), NULL, &j, NULL) < 0 ? NULL : j;
}

bool json_select(struct arena *a, const char *text, size_t len, struct json_want *root, struct json **ret)
{
        struct json_skim s = { .p = text, .end = text + len };
        struct json *j;

        for (unsigned i = 0; i < root->n; i++)
                root->below[i].text = NULL;
        json_skim_space(&s);
        if (s.p >= s.end || *s.p != '{')
                return false;
        j = select_value(a, &s, root);
        if (!j)
                return false;
        *ret = j;
        return true;
}
