/* Selectors: a lexer and a parser for label selectors, a splitter for field selectors, and one
 * matcher for both.
 *
 * The grammar, and the words of its errors, are those of k8s.io/apimachinery: a client that sends
 * "app in (a" reads the same complaint here. Requirements are kept sorted by key, so that two
 * selectors that say the same print the same.
 */
#include "selector.h"

#include <errno.h>
#include <stdio.h>

#include "names.h"

enum token {
        TOK_END,
        TOK_CLOSE,
        TOK_COMMA,
        TOK_NOT,
        TOK_EQ2,
        TOK_EQ,
        TOK_GT,
        TOK_ID,
        TOK_IN,
        TOK_LT,
        TOK_NE,
        TOK_NOT_IN,
        TOK_OPEN,
};

static const struct {
        const char *text;
        enum token token;
} words[] = {
        { ")", TOK_CLOSE }, { ",", TOK_COMMA }, { "!", TOK_NOT }, { "==", TOK_EQ2 },
        { "=", TOK_EQ },    { ">", TOK_GT },    { "in", TOK_IN }, { "<", TOK_LT },
        { "!=", TOK_NE },   { "notin", TOK_NOT_IN }, { "(", TOK_OPEN },
};

#define OPERATORS "in, notin, =, ==, !=, gt, lt"

struct parser {
        struct arena *arena;
        const char *at;    /* behind the token at hand */
        enum token token;  /* looked ahead */
        const char *text;  /* of it */
        struct error *err;
};

static bool word_find(const char *s, size_t n, enum token *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strlen(words[i].text) == n && memcmp(words[i].text, s, n) == 0) {
                        *ret = words[i].token;
                        return true;
                }
        return false;
}

static bool is_special(char c)
{
        return c && strchr("=!(),><", c);
}

static bool is_space(char c)
{
        return c && strchr(" \t\r\n", c);
}

/* Reads the next token. IN and NOTIN are words only where an operator is expected: elsewhere they
 * are identifiers, which the caller decides (see take()). */
static void lex(struct parser *p)
{
        const char *s = p->at;
        size_t n = 0;

        while (is_space(*s))
                s++;
        if (!*s) {
                p->at = s;
                p->token = TOK_END;
                p->text = "";
                return;
        }
        if (is_special(*s)) {
                /* The longest known symbol; each single one is known. */
                n = is_special(s[1]) && word_find(s, 2, &p->token) ? 2 : 1;
                word_find(s, n, &p->token);
        } else {
                while (s[n] && !is_special(s[n]) && !is_space(s[n]))
                        n++;
                if (!word_find(s, n, &p->token))
                        p->token = TOK_ID;
        }
        p->text = arena_strndup(p->arena, s, n);
        p->at = s + n;
}

static enum token peek(const struct parser *p)
{
        return p->token == TOK_IN || p->token == TOK_NOT_IN ? TOK_ID : p->token;
}

static enum token take(struct parser *p, const char **ret_text)
{
        enum token t = peek(p);

        *ret_text = p->text;
        lex(p);
        return t;
}

static int unexpected(struct parser *p, const char *found, const char *expected)
{
        return error_set(p->err, -EINVAL, "unable to parse requirement: found '%s', expected: %s", found,
                         expected);
}

static int compare_strings(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_value(struct arena *a, struct selector_requirement *r, const char *value)
{
        const char **grown;

        for (size_t i = 0; i < r->n_values; i++)
                if (streq(r->values[i], value))
                        return;
        grown = arena_alloc(a, (r->n_values + 1) * sizeof(*grown));
        if (r->n_values)
                memcpy(grown, r->values, r->n_values * sizeof(*grown));
        grown[r->n_values++] = value;
        r->values = grown;
        qsort(r->values, r->n_values, sizeof(*r->values), compare_strings);
}

/* What stands between the parentheses of in and notin; empty places are empty strings. */
static int parse_list(struct parser *p, struct selector_requirement *r)
{
        const char *text;

        if (peek(p) == TOK_CLOSE) {
                take(p, &text);
                add_value(p->arena, r, "");
                return 0;
        }
        if (peek(p) != TOK_ID && peek(p) != TOK_COMMA)
                return unexpected(p, p->text, "',', ')' or identifier");
        for (;;) {
                switch (take(p, &text)) {
                case TOK_ID:
                        add_value(p->arena, r, text);
                        if (peek(p) != TOK_COMMA && peek(p) != TOK_CLOSE)
                                return unexpected(p, p->text, "',' or ')'");
                        break;
                case TOK_COMMA:
                        if (!r->n_values || peek(p) == TOK_CLOSE || peek(p) == TOK_COMMA)
                                add_value(p->arena, r, "");
                        break;
                case TOK_CLOSE:
                        return 0;
                default:
                        return unexpected(p, text, "',', or identifier");
                }
        }
}

static int parse_values(struct parser *p, struct selector_requirement *r)
{
        const char *text;

        if (!r->equals && (r->op == SELECTOR_IN || r->op == SELECTOR_NOT_IN)) {
                if (take(p, &text) != TOK_OPEN)
                        return error_set(p->err, -EINVAL,
                                         "unable to parse requirement: found '%s' expected: '('", text);
                return parse_list(p, r);
        }
        if (peek(p) == TOK_END || peek(p) == TOK_COMMA) {
                add_value(p->arena, r, "");
                return 0;
        }
        if (take(p, &text) != TOK_ID)
                return unexpected(p, text, "identifier");
        add_value(p->arena, r, text);
        return 0;
}

static bool parse_int64(const char *s, int64_t *ret)
{
        char *end;

        if (!*s || is_space(*s))
                return false;
        errno = 0;
        *ret = strtoll(s, &end, 10);
        return !*end && errno == 0;
}

/* As Go's %q writes it, but for what is no ASCII. */
static const char *quoted(struct arena *a, const char *s)
{
        static const char escapes[] = "abtnvfr";
        char *out = arena_alloc(a, 4 * strlen(s) + 3), *o = out;

        *o++ = '"';
        for (; *s; s++) {
                unsigned char c = *s;

                if (c == '"' || c == '\\')
                        *o++ = '\\', *o++ = c;
                else if (c >= 7 && c <= 13)
                        *o++ = '\\', *o++ = escapes[c - 7];
                else if (c < 32 || c == 127)
                        o += snprintf(o, 5, "\\x%02x", c);
                else
                        *o++ = c;
        }
        *o++ = '"';
        *o = '\0';
        return out;
}

static const char *and_also(struct arena *a, const char *first, const char *next)
{
        return first ? arena_printf(a, "%s, %s", first, next) : next;
}

/* PREFIX is where the requirement stands, "" for the text form. Every value is looked at; several complaints stand in
 * brackets. */
static int check_requirement(struct arena *a, const struct selector_requirement *r, const char *before, const char *prefix,
                             struct error *err)
{
        const char *text, *all = NULL;
        int64_t unused_int;
        size_t n = 0;

        text = label_key_check(a, r->key);
        if (text)
                return error_set(err, -EINVAL, "%s%skey: Invalid value: %s: %s", before, prefix, quoted(a, r->key), text);
        for (size_t i = 0; i < r->n_values; i++) {
                if ((r->op == SELECTOR_GT || r->op == SELECTOR_LT) && !parse_int64(r->values[i], &unused_int) && ++n)
                        all = and_also(a, all, arena_printf(a, "%svalues[%zu]: Invalid value: %s: for 'Gt', 'Lt' operators, "
                                                               "the value must be an integer", prefix, i, quoted(a, r->values[i])));
                text = label_value_check(a, r->values[i]);
                if (text && ++n)
                        all = and_also(a, all, arena_printf(a, "%svalues[%zu][%s]: Invalid value: %s: %s", prefix, i, r->key,
                                                            quoted(a, r->values[i]), text));
        }
        return n ? error_set(err, -EINVAL, n > 1 ? "%s[%s]" : "%s%s", before, all) : 0;
}

static int parse_operator(struct parser *p, struct selector_requirement *r)
{
        const char *text = p->text;
        enum token t = p->token;

        lex(p);
        switch (t) {
        case TOK_IN:
        case TOK_EQ:
        case TOK_EQ2:
                r->op = SELECTOR_IN;
                break;
        case TOK_NOT_IN:
        case TOK_NE:
                r->op = SELECTOR_NOT_IN;
                break;
        case TOK_GT:
                r->op = SELECTOR_GT;
                break;
        case TOK_LT:
                r->op = SELECTOR_LT;
                break;
        default:
                return unexpected(p, text, OPERATORS);
        }
        r->equals = t == TOK_EQ || t == TOK_EQ2 || t == TOK_NE;
        return 0;
}

static int parse_requirement(struct parser *p, struct selector_requirement *r)
{
        const char *text;
        enum token t = take(p, &r->key);
        bool negated = t == TOK_NOT;
        int err;

        if (negated)
                t = take(p, &r->key);
        if (t != TOK_ID)
                return unexpected(p, r->key, "identifier");
        text = label_key_check(p->arena, r->key);
        if (text)
                return error_set(p->err, -EINVAL,
                                 "unable to parse requirement: <nil>: Invalid value: %s: %s", quoted(p->arena, r->key),
                                 text);
        if (negated || peek(p) == TOK_END || peek(p) == TOK_COMMA) {
                r->op = negated ? SELECTOR_NOT_EXISTS : SELECTOR_EXISTS;
                return 0;
        }
        err = parse_operator(p, r);
        if (!err)
                err = parse_values(p, r);
        if (err)
                return err;
        return check_requirement(p->arena, r, "unable to parse requirement: ", "", p->err);
}

static struct selector_requirement *add_requirement(struct arena *a, struct selector *s)
{
        struct selector_requirement *grown;

        /* Arrays in arenas: room for a power of two, so that n additions copy 2n. */
        if ((s->n & (s->n - 1)) == 0) {
                grown = arena_calloc(a, MAX(s->n * 2, (size_t)1) * sizeof(*grown));
                if (s->n)
                        memcpy(grown, s->reqs, s->n * sizeof(*grown));
                s->reqs = grown;
        }
        memset(&s->reqs[s->n], 0, sizeof(s->reqs[s->n]));
        return &s->reqs[s->n++];
}

static int compare_requirements(const void *a, const void *b)
{
        const struct selector_requirement *x = a, *y = b;

        return strcmp(x->key, y->key);
}

static void sort_requirements(struct selector *s)
{
        if (s->n > 1)
                qsort(s->reqs, s->n, sizeof(*s->reqs), compare_requirements);
}

int selector_parse(struct arena *a, const char *text, struct selector *ret, struct error *reterr)
{
        struct parser p = { .arena = a, .at = text, .err = reterr };
        struct selector s = { 0 };
        const char *found;
        int r;

        lex(&p);
        while (peek(&p) != TOK_END) {
                if (peek(&p) != TOK_ID && peek(&p) != TOK_NOT)
                        return error_set(reterr, -EINVAL,
                                         "found '%s', expected: !, identifier, or 'end of string'", p.text);
                r = parse_requirement(&p, add_requirement(a, &s));
                if (r < 0)
                        return r;
                switch (take(&p, &found)) {
                case TOK_END:
                        break;
                case TOK_COMMA:
                        if (peek(&p) != TOK_ID && peek(&p) != TOK_NOT)
                                return error_set(reterr, -EINVAL,
                                                 "found '%s', expected: identifier after ','", p.text);
                        break;
                default:
                        return error_set(reterr, -EINVAL, "found '%s', expected: ',' or 'end of string'",
                                         found);
                }
        }
        sort_requirements(&s);
        *ret = s;
        return 0;
}

/* --- field selectors --- */

static int unescape(struct arena *a, const char *s, size_t n, const char **ret, struct error *reterr)
{
        char *out = arena_alloc(a, n + 1), *o = out;

        for (size_t i = 0; i < n; i++) {
                if (s[i] == ',' || s[i] == '=')
                        return error_set(reterr, -EINVAL,
                                         "invalid field selector: unescaped character in value: %d", s[i]);
                if (s[i] == '\\') {
                        i++;
                        if (i == n || !strchr("\\,=", s[i]))
                                return error_set(reterr, -EINVAL,
                                                 "invalid field selector: invalid escape sequence: \\%.*s",
                                                 i < n, s + i);
                }
                *o++ = s[i];
        }
        *o = '\0';
        *ret = out;
        return 0;
}

/* One "key=value"; FULL is the whole selector, for the error. */
static int parse_field_term(struct arena *a, struct selector *s, const char *full, const char *term, size_t n,
                            struct error *reterr)
{
        struct selector_requirement *r;
        const char *value = "";
        size_t at = 0, op_len;
        int err;

        while (at < n && term[at] != '=' && !(term[at] == '!' && at + 1 < n && term[at + 1] == '='))
                at++;
        if (at == n)
                return error_set(reterr, -EINVAL, "invalid selector: '%s'; can't understand '%.*s'", full,
                                 (int)n, term);
        op_len = term[at] == '!' || (at + 1 < n && term[at + 1] == '=') ? 2 : 1;
        err = unescape(a, term + at + op_len, n - at - op_len, &value, reterr);
        if (err < 0)
                return err;
        if (!at && !*value) /* "=": upstream's selector for everything */
                return 0;
        r = add_requirement(a, s);
        r->key = arena_strndup(a, term, at);
        r->op = term[at] == '!' ? SELECTOR_NOT_IN : SELECTOR_IN;
        r->equals = true;
        add_value(a, r, value);
        return 0;
}

int field_selector_parse(struct arena *a, const char *text, struct selector *ret, struct error *reterr)
{
        struct selector s = { 0 };

        for (const char *term = text; *term;) {
                size_t n = 0;

                while (term[n] && term[n] != ',')
                        n += term[n] == '\\' && term[n + 1] ? 2 : 1;
                if (n) {
                        int r = parse_field_term(a, &s, text, term, n, reterr);

                        if (r < 0)
                                return r;
                }
                term += n + (term[n] == ',');
        }
        sort_requirements(&s);
        *ret = s;
        return 0;
}

/* --- from objects --- */

static int operator_from_string(const char *s, enum selector_op *ret)
{
        static const struct {
                const char *name;
                enum selector_op op;
        } names[] = { { "In", SELECTOR_IN },
                      { "NotIn", SELECTOR_NOT_IN },
                      { "Exists", SELECTOR_EXISTS },
                      { "DoesNotExist", SELECTOR_NOT_EXISTS } };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(s, names[i].name)) {
                        *ret = names[i].op;
                        return 0;
                }
        return -EINVAL;
}

void selector_from_map(struct arena *a, const struct json *map, struct selector *ret)
{
        struct selector s = { 0 };

        json_foreach_member(map, m) {
                struct selector_requirement *r = add_requirement(a, &s);
                const char *value = json_string(m->value);

                r->key = arena_strdup(a, m->key);
                r->op = SELECTOR_IN;
                r->equals = true;
                add_value(a, r, arena_strdup(a, value ? value : ""));
        }
        sort_requirements(&s);
        *ret = s;
}

/* As Go writes a list of them. */
static const char *values_shown(struct arena *a, const struct selector_requirement *r)
{
        struct json *list = json_new_array(a);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < r->n_values; i++)
                json_append(a, list, json_new_string(a, r->values[i]));
        json_write(&b, list);
        return arena_strndup(a, strbuf_str(&b), b.len);
}

int selector_from_object(struct arena *a, const struct json *sel, struct selector *ret, struct error *reterr)
{
        struct selector s = { 0 };

        if (!json_is_object(sel)) {
                *ret = (struct selector){ .nothing = true };
                return 0;
        }
        selector_from_map(a, json_get(sel, "matchLabels"), &s);
        json_foreach_item(json_get(sel, "matchExpressions"), e) {
                const char *key = json_get_string(e, "key"), *op = json_get_string(e, "operator");
                struct selector_requirement *r = add_requirement(a, &s);

                r->key = arena_strdup(a, key ? key : "");
                if (operator_from_string(op, &r->op) < 0)
                        return error_set(reterr, -EINVAL, "\"%s\" is not a valid label selector operator",
                                         op ? op : "");
                json_foreach_item(json_get(e, "values"), v) {
                        if (json_is_string(v))
                                add_value(a, r, arena_strdup(a, v->str));
                }
        }
        for (size_t i = 0; i < s.n; i++) {
                bool listed = s.reqs[i].op == SELECTOR_IN || s.reqs[i].op == SELECTOR_NOT_IN;
                int err;

                if (listed && !s.reqs[i].n_values)
                        return error_set(reterr, -EINVAL,
                                         "values: Invalid value: []: for 'in', 'notin' operators, values "
                                         "set can't be empty");
                if ((s.reqs[i].op == SELECTOR_EXISTS || s.reqs[i].op == SELECTOR_NOT_EXISTS) && s.reqs[i].n_values)
                        return error_set(reterr, -EINVAL, "values: Invalid value: %s: values set must be empty for exists and does not exist",
                                         values_shown(a, &s.reqs[i]));
                err = check_requirement(a, &s.reqs[i], "", "", reterr);
                if (err < 0)
                        return err;
        }
        sort_requirements(&s);
        *ret = s;
        return 0;
}

/* --- matching --- */

static bool has_value(const struct selector_requirement *r, const char *value)
{
        for (size_t i = 0; i < r->n_values; i++)
                if (strcmp(r->values[i], value) == 0)
                        return true;
        return false;
}

/* VALUE NULL: the object has no such key. */
static bool requirement_matches(const struct selector_requirement *r, const char *value)
{
        int64_t have, want;

        switch (r->op) {
        case SELECTOR_IN:
                return value && has_value(r, value);
        case SELECTOR_NOT_IN:
                return !value || !has_value(r, value);
        case SELECTOR_EXISTS:
                return value;
        case SELECTOR_NOT_EXISTS:
                return !value;
        case SELECTOR_GT:
        case SELECTOR_LT:
                if (!value || !r->n_values || !parse_int64(value, &have) || !parse_int64(r->values[0], &want))
                        return false;
                return r->op == SELECTOR_GT ? have > want : have < want;
        }
        return false;
}

bool selector_matches(const struct selector *s, const struct json *labels)
{
        if (s->nothing)
                return false;
        for (size_t i = 0; i < s->n; i++)
                if (!requirement_matches(&s->reqs[i], json_get_string(labels, s->reqs[i].key)))
                        return false;
        return true;
}

bool selector_matches_fn(const struct selector *s, const char *(*get)(const char *key, void *userdata),
                         void *userdata)
{
        if (s->nothing)
                return false;
        for (size_t i = 0; i < s->n; i++) {
                if (!requirement_matches(&s->reqs[i], get(s->reqs[i].key, userdata)))
                        return false;
        }
        return true;
}

/* --- printing --- */

static void print_requirement(struct strbuf *b, const struct selector_requirement *r)
{
        static const char *const signs[] = {
                [SELECTOR_IN] = " in ", [SELECTOR_NOT_IN] = " notin ", [SELECTOR_GT] = ">", [SELECTOR_LT] = "<",
                [SELECTOR_EXISTS] = "", [SELECTOR_NOT_EXISTS] = "",
        };
        bool listed = (r->op == SELECTOR_IN || r->op == SELECTOR_NOT_IN) && !r->equals;

        strbuf_printf(b, "%s%s", r->op == SELECTOR_NOT_EXISTS ? "!" : "", r->key);
        if (r->equals)
                strbuf_puts(b, r->op == SELECTOR_IN ? "=" : "!=");
        else
                strbuf_puts(b, signs[r->op]);
        if (listed)
                strbuf_putc(b, '(');
        for (size_t i = 0; i < r->n_values; i++)
                strbuf_printf(b, "%s%s", i ? "," : "", r->values[i]);
        if (listed)
                strbuf_putc(b, ')');
}

char *selector_print(struct arena *a, const struct selector *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < s->n; i++) {
                if (i)
                        strbuf_putc(&b, ',');
                print_requirement(&b, &s->reqs[i]);
        }
        return arena_strdup(a, strbuf_str(&b));
}
