/* cel-go's extension of strings, version 2, with what the standard has for them. */
#include "../meta/regexp.h"
#include "ast.h"

static bool strings(size_t n, const struct cel_value *v)
{
        for (size_t i = 0; i < n; i++)
                if (v[i].type != CEL_STRING)
                        return false;
        return true;
}

/* The first NEEDLE at byte FROM or behind; -1: none. */
static ptrdiff_t find(struct cel_string s, struct cel_string needle, size_t from)
{
        const char *hit;

        if (from > s.len)
                return -1;
        if (!needle.len)
                return (ptrdiff_t)from;
        hit = memmem(s.s + from, s.len - from, needle.s, needle.len);
        return hit ? hit - s.s : -1;
}

static struct cel_value f_contains(struct eval *e, size_t n, const struct cel_value *v)
{
        return strings(2, v) ? cel_bool(find(v[0].str, v[1].str, 0) >= 0) : cel_no_overload();
}

static struct cel_value f_starts_with(struct eval *e, size_t n, const struct cel_value *v)
{
        if (!strings(2, v))
                return cel_no_overload();
        return cel_bool(v[0].str.len >= v[1].str.len && !memcmp(v[0].str.s, v[1].str.s, v[1].str.len));
}

static struct cel_value f_ends_with(struct eval *e, size_t n, const struct cel_value *v)
{
        if (!strings(2, v))
                return cel_no_overload();
        return cel_bool(v[0].str.len >= v[1].str.len &&
                        !memcmp(v[0].str.s + v[0].str.len - v[1].str.len, v[1].str.s, v[1].str.len));
}

static struct cel_value substring(struct cel_string s, size_t from, size_t to)
{
        size_t start = cel_offset(s, from);

        return cel_stringn(s.s + start, cel_offset((struct cel_string){ s.s + start, s.len - start }, to - from));
}

static struct cel_value f_char_at(struct eval *e, size_t n, const struct cel_value *v)
{
        size_t len;

        if (v[0].type != CEL_STRING || v[1].type != CEL_INT)
                return cel_no_overload();
        len = cel_code_points(v->str);
        if (v[1].i < 0 || (uint64_t)v[1].i > len)
                return cel_error(e->run->arena, "index out of range: %lld", (long long)v[1].i);
        return (size_t)v[1].i == len ? cel_string("") : substring(v->str, (size_t)v[1].i, (size_t)v[1].i + 1);
}

static struct cel_value f_index_of(struct eval *e, size_t n, const struct cel_value *v)
{
        ptrdiff_t at;

        if (!strings(2, v) || (n > 2 && v[2].type != CEL_INT))
                return cel_no_overload();
        if (n > 2 && v[2].i < 0)
                return cel_error(e->run->arena, "index out of range: %lld", (long long)v[2].i);
        if (n > 2 && !v[1].str.len)
                return v[2];
        if (n > 2 && (uint64_t)v[2].i >= cel_code_points(v->str))
                return cel_int(-1);
        at = find(v[0].str, v[1].str, n > 2 ? cel_offset(v->str, (size_t)v[2].i) : 0);
        return cel_int(at < 0 ? -1 : (int64_t)cel_code_points((struct cel_string){ v->str.s, (size_t)at }));
}

static struct cel_value f_last_index_of(struct eval *e, size_t n, const struct cel_value *v)
{
        size_t last;
        ptrdiff_t hit = -1;

        if (!strings(2, v) || (n > 2 && v[2].type != CEL_INT))
                return cel_no_overload();
        if (n > 2 && v[2].i < 0)
                return cel_error(e->run->arena, "index out of range: %lld", (long long)v[2].i);
        if (n > 2 && !v[1].str.len)
                return v[2];
        if (n > 2 && (uint64_t)v[2].i >= cel_code_points(v->str))
                return cel_int(-1);
        last = n > 2 ? cel_offset(v->str, (size_t)v[2].i) : v->str.len;
        if (!eval_room(e, v->str.len / 10))
                return eval_over_limit();
        for (ptrdiff_t at = (ptrdiff_t)MIN(last, v->str.len); at >= 0 && hit < 0; at--)
                if ((size_t)at + v[1].str.len <= v->str.len && !memcmp(v->str.s + at, v[1].str.s, v[1].str.len))
                        hit = at;
        return cel_int(hit < 0 ? -1 : (int64_t)cel_code_points((struct cel_string){ v->str.s, (size_t)hit }));
}

static struct cel_value built(struct eval *e, const struct strbuf *b)
{
        if (!eval_room(e, b->len / 10))
                return eval_over_limit();
        return cel_stringn(arena_memdup(e->run->arena, strbuf_str(b), b->len + 1), b->len);
}

static struct cel_value f_join(struct eval *e, size_t n, const struct cel_value *v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (v->type != CEL_LIST || (n > 1 && v[1].type != CEL_STRING))
                return cel_no_overload();
        for (size_t i = 0; i < cel_list_len(v); i++) {
                struct cel_value item = cel_list_at(v, i);

                if (item.type != CEL_STRING)
                        return cel_no_overload();
                if (i && n > 1)
                        strbuf_append(&b, v[1].str.s, v[1].str.len);
                strbuf_append(&b, item.str.s, item.str.len);
        }
        return built(e, &b);
}

static struct cel_value changed_case(struct eval *e, const struct cel_value *v, char from, char to)
{
        char *s;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        if (!eval_room(e, v->str.len / 10))
                return eval_over_limit();
        s = arena_memdup(e->run->arena, v->str.s, v->str.len);
        for (size_t i = 0; i < v->str.len; i++)
                if (s[i] >= from && s[i] <= from + 25)
                        s[i] = (char)(s[i] - from + to);
        return cel_stringn(s, v->str.len);
}

static struct cel_value f_lower(struct eval *e, size_t n, const struct cel_value *v)
{
        return changed_case(e, v, 'A', 'a');
}

static struct cel_value f_upper(struct eval *e, size_t n, const struct cel_value *v)
{
        return changed_case(e, v, 'a', 'A');
}

/* Where the next piece ends: at SEPARATOR, or, if that is empty, behind one character. */
static ptrdiff_t next_cut(struct cel_string s, struct cel_string separator, size_t at)
{
        size_t step;

        if (separator.len)
                return find(s, separator, at);
        step = at + cel_offset((struct cel_string){ s.s + at, s.len - at }, 1);
        return step < s.len ? (ptrdiff_t)step : -1;
}

static struct cel_value f_replace(struct eval *e, size_t n, const struct cel_value *v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        int64_t left = n > 3 ? v[3].i : -1;
        size_t at = 0;

        if (!strings(3, v) || (n > 3 && v[3].type != CEL_INT))
                return cel_no_overload();
        if (!v[1].str.len && left && v->str.len) { /* between all characters, and at both ends */
                for (; at < v->str.len && left; left--) {
                        size_t step = cel_offset((struct cel_string){ v->str.s + at, v->str.len - at }, 1);

                        strbuf_append(&b, v[2].str.s, v[2].str.len);
                        strbuf_append(&b, v->str.s + at, step);
                        at += step;
                }
                if (left)
                        strbuf_append(&b, v[2].str.s, v[2].str.len);
        }
        while (v[1].str.len && left) {
                ptrdiff_t hit = find(v->str, v[1].str, at);

                if (hit < 0)
                        break;
                strbuf_append(&b, v->str.s + at, (size_t)hit - at);
                strbuf_append(&b, v[2].str.s, v[2].str.len);
                at = (size_t)hit + v[1].str.len;
                left -= left > 0;
        }
        strbuf_append(&b, v->str.s + at, v->str.len - at);
        return built(e, &b);
}

static struct cel_value f_split(struct eval *e, size_t n, const struct cel_value *v)
{
        int64_t limit = n > 2 ? v[2].i : -1;
        size_t at = 0, used = 0, cap = 8;
        struct cel_value *items = arena_alloc(e->run->arena, cap * sizeof(*items));

        if (!strings(2, v) || (n > 2 && v[2].type != CEL_INT))
                return cel_no_overload();
        if (!eval_room(e, v->str.len / 10 + 1))
                return eval_over_limit();
        while (limit && (v->str.len || v[1].str.len)) {
                ptrdiff_t cut = limit == 1 ? -1 : next_cut(v->str, v[1].str, at);

                if (used + 1 >= cap) {
                        struct cel_value *more = arena_alloc(e->run->arena, cap * 2 * sizeof(*more));

                        memcpy(more, items, used * sizeof(*more));
                        items = more;
                        cap *= 2;
                }
                items[used++] = cel_stringn(v->str.s + at, (cut < 0 ? v->str.len : (size_t)cut) - at);
                if (cut < 0)
                        break;
                at = (size_t)cut + v[1].str.len;
                limit -= limit > 0;
        }
        return cel_list_new(e->run->arena, items, used);
}

static struct cel_value f_substring(struct eval *e, size_t n, const struct cel_value *v)
{
        int64_t len, from = v[1].i, to;

        if (v->type != CEL_STRING || v[1].type != CEL_INT || (n > 2 && v[2].type != CEL_INT))
                return cel_no_overload();
        len = (int64_t)cel_code_points(v->str);
        to = n > 2 ? v[2].i : len;
        if (n > 2 && from > to)
                return cel_error(e->run->arena, "invalid substring range. start: %lld, end: %lld", (long long)from, (long long)to);
        if (from < 0 || from > len)
                return cel_error(e->run->arena, "index out of range: %lld", (long long)from);
        if (to < 0 || to > len)
                return cel_error(e->run->arena, "index out of range: %lld", (long long)to);
        return substring(v->str, (size_t)from, (size_t)to);
}

static struct cel_value f_trim(struct eval *e, size_t n, const struct cel_value *v)
{
        static const char space[] = " \t\n\v\f\r";
        struct cel_string s = v->str;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        while (s.len && memchr(space, s.s[0], sizeof(space) - 1)) {
                s.s++;
                s.len--;
        }
        while (s.len && memchr(space, s.s[s.len - 1], sizeof(space) - 1))
                s.len--;
        return cel_stringn(s.s, s.len);
}

/* --- regular expressions --- */

static struct cel_value too_hard(struct eval *e)
{
        return cel_error(e->run->arena, "regular expression takes too long");
}

/* The first match of pattern V[1] in V[0], between *FROM and *TO. What is returned is an error, or whether there is one. */
static struct cel_value first_match(struct eval *e, const struct cel_value *v, size_t *from, size_t *to)
{
        const char *why = "";
        struct regexp *re;
        int r;

        if (!strings(2, v))
                return cel_no_overload();
        if (!eval_room(e, (v->str.len / 10 + 1) * (v[1].str.len / 4 + 1)))
                return eval_over_limit();
        if (regexp_cached(e->run->arena, v[1].str.s, v[1].str.len, &re, &why) < 0)
                return cel_error(e->run->arena, "%s", why);
        r = regexp_match(re, v->str.s, v->str.len, 0, from, to);
        return r < 0 ? too_hard(e) : cel_bool(r);
}

static struct cel_value f_matches(struct eval *e, size_t n, const struct cel_value *v)
{
        return first_match(e, v, NULL, NULL);
}

static struct cel_value f_find(struct eval *e, size_t n, const struct cel_value *v)
{
        size_t from, to;
        struct cel_value found = first_match(e, v, &from, &to);

        if (cel_is_error(found))
                return found;
        return found.b ? cel_stringn(v->str.s + from, to - from) : cel_string("");
}

static struct cel_value f_find_all(struct eval *e, size_t n, const struct cel_value *v)
{
        int64_t limit = n > 2 ? v[2].i : -1;
        struct cel_value *items = NULL;
        size_t used = 0, cap = 0, at = 0, from, to;
        const char *why = "";
        struct regexp *re;
        int r = 1;

        if (!strings(2, v) || (n > 2 && v[2].type != CEL_INT))
                return cel_no_overload();
        if (!eval_room(e, (v->str.len / 10 + 1) * (v[1].str.len / 4 + 1)))
                return eval_over_limit();
        if (regexp_cached(e->run->arena, v[1].str.s, v[1].str.len, &re, &why) < 0)
                return cel_error(e->run->arena, "%s", why);
        while (limit && at <= v->str.len && (r = regexp_match(re, v->str.s, v->str.len, at, &from, &to)) > 0) {
                if (used == cap) {
                        struct cel_value *more = arena_alloc(e->run->arena, (cap = cap * 2 + 8) * sizeof(*more));

                        memcpy(more, items ? items : more, used * sizeof(*more));
                        items = more;
                }
                items[used++] = cel_stringn(v->str.s + from, to - from);
                if (!eval_room(e, (v->str.len - at) / 200)) /* each may look at all that follows */
                        return eval_over_limit();
                at = to > from ? to : to + MAX(cel_offset((struct cel_string){ v->str.s + to, v->str.len - to }, 1), (size_t)1);
                limit -= limit > 0;
        }
        return r < 0 ? too_hard(e) : cel_list_new(e->run->arena, items, used);
}

const struct function functions_strings[] = {
        { "contains", true, false, 2, 2, CEL_BOOL, f_contains },
        { "startsWith", true, false, 2, 2, CEL_BOOL, f_starts_with },
        { "endsWith", true, false, 2, 2, CEL_BOOL, f_ends_with },
        { "matches", true, true, 2, 2, CEL_BOOL, f_matches },
        { "charAt", true, false, 2, 2, CEL_STRING, f_char_at },
        { "join", true, false, 1, 2, CEL_STRING, f_join },
        { "lowerAscii", true, false, 1, 1, CEL_STRING, f_lower },
        { "upperAscii", true, false, 1, 1, CEL_STRING, f_upper },
        { "replace", true, false, 3, 4, CEL_STRING, f_replace },
        { "split", true, false, 2, 3, CEL_LIST, f_split },
        { "substring", true, false, 2, 3, CEL_STRING, f_substring },
        { "trim", true, false, 1, 1, CEL_STRING, f_trim },
        { "find", true, false, 2, 2, CEL_STRING, f_find },
        { "findAll", true, false, 2, 3, CEL_LIST, f_find_all },
        { NULL },
};

/* Lists have members of the same names: functions-kubernetes.c. */
struct cel_value cel_string_index(struct eval *e, size_t n, const struct cel_value *v, bool last)
{
        return last ? f_last_index_of(e, n, v) : f_index_of(e, n, v);
}
