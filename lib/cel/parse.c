/* From text to tree: the grammar of cel-spec's doc/langdef.md, by recursive descent. Macros become nodes of their own
 * instead of general comprehensions: what they do is written once, in eval.c. */
#include <float.h>
#include <stdlib.h>

#include "ast.h"

/* How deep parentheses, lists and conditions may nest (each level is a few frames of a small stack), how many operators or
 * members of a kind may follow one another, and how long a text may be (the last two as upstream). */
enum { DEPTH_MAX = 60, LINKS_MAX = 250, TEXT_MAX = 100000, SNIPPET_MAX = 16384 };

enum token_kind { TOKEN_END, TOKEN_IDENT, TOKEN_LITERAL, TOKEN_PUNCT, TOKEN_QUOTED }; /* QUOTED: `name` */

enum { ERRORS_MAX = 100, OPEN_MAX = 256 };

struct token {
        enum token_kind kind;
        size_t pos, len;
        struct cel_value value;
};

struct parser {
        struct arena *arena;
        const char *text;
        size_t len, at; /* at: behind the current token */
        struct token token;
        int depth;
        int open; /* brackets and conditions that wait for their end */
        const char *ends[OPEN_MAX]; /* for which tokens each of them waits; with '.' and '[' if what it ends may be reached into */
        bool recovering; /* since the last syntax error no token was taken: others are not told */
        bool quiet; /* looking ahead: nothing is said */
        bool failed;
        struct complaint *errors;
        size_t n_errors;
};

/* --- errors --- */

const char *cel_describe_error(struct arena *a, const char *text, size_t pos, const char *message)
{
        const char *line = text, *end;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t number = 1, column;

        if (!*text)
                return arena_printf(a, "ERROR: <input>:1:0: %s", message);
        for (size_t i = 0; i < pos && text[i]; i++)
                if (text[i] == '\n') {
                        line = text + i + 1;
                        number++;
                }
        column = cel_code_points((struct cel_string){ line, (size_t)(text + pos - line) });
        end = strchrnul(line, '\n');
        strbuf_printf(&b, "ERROR: <input>:%zu:%zu: %s", number, column + 1, message);
        if (end - line > SNIPPET_MAX)
                return arena_strdup(a, b.data);
        strbuf_puts(&b, "\n | ");
        for (const char *c = line; c < end; c++)
                strbuf_putc(&b, *c == '\t' ? ' ' : *c);
        strbuf_puts(&b, "\n | ");
        /* Below what takes two cells the mark takes two. */
        for (size_t i = 0; i < column; i++) {
                strbuf_puts(&b, (unsigned char)*line >= 0xc0 ? "\uff0e" : ".");
                line += cel_offset((struct cel_string){ line, (size_t)(end - line) }, 1);
        }
        strbuf_puts(&b, line < end && (unsigned char)*line >= 0xc0 ? "\uff3e" : "^");
        return arena_strdup(a, b.data);
}

static void complain(struct parser *p, size_t pos, const char *message)
{
        if (p->quiet || p->failed || p->n_errors == ERRORS_MAX)
                return;
        if (p->recovering && str_has_prefix(message, "Syntax error: ") && !str_has_prefix(message, "Syntax error: token recognition"))
                return;
        if (p->n_errors && p->errors[p->n_errors - 1].pos == pos && streq(p->errors[p->n_errors - 1].message, message))
                return; /* read again */
        if (!p->errors)
                p->errors = arena_calloc(p->arena, ERRORS_MAX * sizeof(*p->errors));
        p->errors[p->n_errors++] = (struct complaint){ pos, message };
}

/* What parsing can go on after. */
static void note(struct parser *p, size_t pos, const char *fmt, ...) printf_like(3, 4);
static void note(struct parser *p, size_t pos, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        complain(p, pos, arena_vprintf(p->arena, fmt, ap));
        va_end(ap);
}

/* What it cannot go on after. */
static struct node *fail(struct parser *p, size_t pos, const char *fmt, ...) printf_like(3, 4);
static struct node *fail(struct parser *p, size_t pos, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        complain(p, pos, arena_vprintf(p->arena, fmt, ap));
        va_end(ap);
        p->failed = true;
        return NULL;
}

/* --- tokens --- */

static bool letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool digit(char c)
{
        return c >= '0' && c <= '9';
}

static int hex(char c)
{
        return digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void skip_space(struct parser *p)
{
        for (;;) {
                p->at += strspn(p->text + p->at, " \t\r\n\f");
                if (p->text[p->at] != '/' || p->text[p->at + 1] != '/')
                        return;
                p->at += strcspn(p->text + p->at, "\n");
        }
}

static void put_utf8(struct strbuf *b, uint32_t c)
{
        if (c < 0x80) {
                strbuf_putc(b, (char)c);
                return;
        }
        if (c < 0x800) {
                strbuf_putc(b, (char)(0xc0 | c >> 6));
        } else {
                if (c < 0x10000) {
                        strbuf_putc(b, (char)(0xe0 | c >> 12));
                } else {
                        strbuf_putc(b, (char)(0xf0 | c >> 18));
                        strbuf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
                }
                strbuf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
        }
        strbuf_putc(b, (char)(0x80 | (c & 0x3f)));
}

/* "\n", "\x41", "\u00e9", "\101": S is behind the backslash. Returns what was read, 0: no escape. */
static size_t escape(struct strbuf *out, const char *s, bool bytes)
{
        static const char from[] = "abfnrtv\\'\"`?", to[] = "\a\b\f\n\r\t\v\\'\"`?";
        const char *simple = *s ? strchr(from, *s) : NULL;
        size_t digits = *s == 'x' || *s == 'X' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
        uint32_t c = 0;

        if (simple) {
                strbuf_putc(out, to[simple - from]);
                return 1;
        }
        if (*s >= '0' && *s <= '3') {
                for (size_t i = 0; i < 3; i++) {
                        if (s[i] < '0' || s[i] > '7')
                                return 0;
                        c = c * 8 + (uint32_t)(s[i] - '0');
                }
                digits = 2;
        } else {
                for (size_t i = 1; i <= digits; i++) {
                        if (hex(s[i]) < 0)
                                return 0;
                        c = c * 16 + (uint32_t)hex(s[i]);
                }
        }
        if (!digits || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || (bytes && digits > 2))
                return 0;
        if (bytes)
                strbuf_putc(out, (char)c);
        else
                put_utf8(out, c);
        return digits + 1 > 3 || *s == 'x' || *s == 'X' ? digits + 1 : 3;
}

/* A literal at p->at + PREFIX with QUOTE. False: it does not end, or has a bad escape; *ret_bad: behind what is wrong. */
static bool read_string(struct parser *p, size_t prefix, const char *quote, bool raw, bool bytes, size_t *ret_bad)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t n = strlen(quote);
        const char *s = p->text + p->at + prefix + n;

        while (strncmp(s, quote, n) != 0) {
                *ret_bad = (size_t)(s - p->text) + (*s != '\0');
                if (!*s || (n == 1 && (*s == '\n' || *s == '\r')))
                        return false;
                if (*s == '\\' && !raw) {
                        size_t used = escape(&b, s + 1, bytes);

                        if (!used) { /* the first letter that no escape has */
                                size_t good = s[1] == 'x' || s[1] == 'X' || s[1] == 'u' || s[1] == 'U' ? 1 : 0;

                                while (good && hex(s[1 + good]) >= 0)
                                        good++;
                                *ret_bad = (size_t)(s - p->text) + 1 + good;
                                *ret_bad += p->text[*ret_bad] != '\0';
                                return false;
                        }
                        s += 1 + used;
                } else {
                        strbuf_putc(&b, *s++);
                }
        }
        p->token.kind = TOKEN_LITERAL;
        p->token.value = cel_stringn(arena_memdup(p->arena, strbuf_str(&b), b.len + 1), b.len);
        p->token.value.type = bytes ? CEL_BYTES : CEL_STRING;
        p->at = (size_t)(s + n - p->text);
        return true;
}

enum string { STRING_NONE, STRING_READ, STRING_BAD };

static enum string try_string(struct parser *p, size_t *ret_bad)
{
        const char *s = p->text + p->at;
        bool raw = false, bytes = false;
        size_t prefix = 0;

        while (prefix < 2 && strchr("rRbB", s[prefix] ? s[prefix] : ' ')) {
                if (strchr("rR", s[prefix]) ? raw : bytes)
                        return STRING_NONE;
                *(strchr("rR", s[prefix]) ? &raw : &bytes) = true;
                prefix++;
        }
        if (s[prefix] != '"' && s[prefix] != '\'')
                return STRING_NONE;
        s += prefix;
        if (s[1] == *s && s[2] == *s && read_string(p, prefix, *s == '"' ? "\"\"\"" : "'''", raw, bytes, ret_bad))
                return STRING_READ;
        if (read_string(p, prefix, *s == '"' ? "\"" : "'", raw, bytes, ret_bad))
                return STRING_READ;
        return prefix ? STRING_NONE : STRING_BAD; /* with a prefix: a name, and then what is bad */
}

static void read_number(struct parser *p)
{
        const char *s = p->text + p->at;
        bool base16 = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && hex(s[2]) >= 0;
        size_t n = base16 ? 2 : 0;
        bool real = false;
        char *end;

        while (base16 ? hex(s[n]) >= 0 : digit(s[n]))
                n++;
        if (!base16 && s[n] == '.' && digit(s[n + 1])) {
                real = true;
                for (n++; digit(s[n]);)
                        n++;
        }
        if (!base16 && (s[n] == 'e' || s[n] == 'E')) {
                size_t e = n + 1 + (s[n + 1] == '+' || s[n + 1] == '-');

                if (digit(s[e])) {
                        real = true;
                        for (n = e; digit(s[n]);)
                                n++;
                }
        }
        p->token.kind = TOKEN_LITERAL;
        errno = 0;
        if (real) {
                p->token.value = (struct cel_value){ .type = CEL_DOUBLE, .d = strtod(s, &end) };
                if (p->token.value.d > DBL_MAX)
                        fail(p, p->at, "invalid double literal");
        } else {
                unsigned long long u = strtoull(s, &end, base16 ? 16 : 10);
                bool is_unsigned = s[n] == 'u' || s[n] == 'U';

                p->token.value = (struct cel_value){ .type = CEL_UINT, .u = u };
                if (!is_unsigned) /* 2^63 stays: a minus may stand in front of it */
                        p->token.value = (struct cel_value){ .type = CEL_INT, .i = (int64_t)u };
                if (errno || (!is_unsigned && u > (uint64_t)INT64_MAX + 1))
                        fail(p, p->at, "invalid %s literal", is_unsigned ? "uint" : "int");
                n += is_unsigned;
        }
        p->at += n;
}

/* What no token begins with is passed over: "&" alone takes the character behind it along. */
static void skip_bad(struct parser *p, size_t end)
{
        size_t start = p->at;

        if (!end) {
                end = start + MAX(cel_offset((struct cel_string){ p->text + start, p->len - start }, 1), (size_t)1);
                if (strchr("&|=", p->text[start]) && end < p->len)
                        end += MAX(cel_offset((struct cel_string){ p->text + end, p->len - end }, 1), (size_t)1);
        }
        note(p, start, "Syntax error: token recognition error at: '%.*s'", (int)(end - start), p->text + start);
        p->at = end;
}

static void advance(struct parser *p)
{
        static const char *const two[] = { "==", "!=", "<=", ">=", "&&", "||" };

        for (;;) {
                size_t bad = 0;
                enum string string;
                char c;

                skip_space(p);
                p->token = (struct token){ .kind = TOKEN_PUNCT, .pos = p->at };
                c = p->text[p->at];
                if (!c) {
                        p->token.kind = TOKEN_END;
                        break;
                }
                string = try_string(p, &bad);
                if (string == STRING_READ)
                        break;
                if (string == STRING_BAD) {
                        skip_bad(p, bad);
                        continue;
                }
                if (letter(c)) {
                        p->token.kind = TOKEN_IDENT;
                        while (letter(p->text[p->at]) || digit(p->text[p->at]))
                                p->at++;
                        break;
                }
                if (digit(c) || (c == '.' && digit(p->text[p->at + 1]))) {
                        read_number(p);
                        break;
                }
                if (c == '`' && (bad = strcspn(p->text + p->at + 1, "`\n")) && p->text[p->at + 1 + bad] == '`') {
                        p->token.kind = TOKEN_QUOTED;
                        p->at += bad + 2;
                        break;
                }
                for (size_t i = 0; i < ARRAY_SIZE(two) && p->at == p->token.pos; i++)
                        if (!strncmp(p->text + p->token.pos, two[i], 2))
                                p->at += 2;
                if (p->at == p->token.pos && strchr("()[]{}.,?:+-*/%<>!", c))
                        p->at++;
                if (p->at > p->token.pos)
                        break;
                skip_bad(p, 0);
        }
        p->token.len = p->at - p->token.pos;
}

/* The current token is as it should be. */
static void next(struct parser *p)
{
        p->recovering = false;
        advance(p);
}

/* The token behind the current one. */
static struct token peek(struct parser *p)
{
        struct parser ahead = *p;

        ahead.quiet = true;
        next(&ahead);
        return ahead.token;
}

static bool is(const struct parser *p, const char *punct)
{
        return p->token.kind == TOKEN_PUNCT && strlen(punct) == p->token.len &&
               !strncmp(p->text + p->token.pos, punct, p->token.len);
}

static bool accept(struct parser *p, const char *punct)
{
        if (!is(p, punct))
                return false;
        next(p);
        return true;
}

static void open_until(struct parser *p, const char *ends)
{
        if (p->open < OPEN_MAX)
                p->ends[p->open] = ends;
        p->open++;
}

static const char *token_text(const struct parser *p)
{
        return p->token.kind == TOKEN_END ? "<EOF>" : arena_strndup(p->arena, p->text + p->token.pos, p->token.len);
}

/* What an expression begins with, in ANTLR's words. */
#define STARTS(before_dot, behind_not)                                                                                              \
        "{'[', '{', '(', " before_dot "'.', '-', '!', " behind_not "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, " \
        "BYTES, IDENTIFIER}"

static bool token_is(const struct parser *p, const struct token *t, const char *punct)
{
        return t->kind == TOKEN_PUNCT && strlen(punct) == t->len && !strncmp(p->text + t->pos, punct, t->len);
}

static bool starts_expression(const struct parser *p, const struct token *t)
{
        if (t->kind == TOKEN_IDENT)
                return t->len != 2 || strncmp(p->text + t->pos, "in", 2) != 0;
        return t->kind == TOKEN_LITERAL || (t->kind == TOKEN_PUNCT && strchr("[{(.-!", p->text[t->pos]) && t->len == 1);
}

static bool waits_for_token(const struct parser *p, int i)
{
        return p->token.kind == TOKEN_PUNCT && p->token.len == 1 && strchr(p->ends[i], p->text[p->token.pos]);
}

static bool is_operator(const struct parser *p)
{
        return p->token.kind == TOKEN_IDENT ? p->token.len == 2 && !strncmp(p->text + p->token.pos, "in", 2)
                                            : p->token.kind == TOKEN_PUNCT && (p->token.len == 2 || strchr("+-*/%<>?", p->text[p->token.pos]));
}

/* Whether a token may stand behind PUNCT, so that only PUNCT is missing. */
static bool may_follow(const struct parser *p, const char *punct)
{
        if (*punct == ':')
                return starts_expression(p, &p->token);
        if (p->token.kind == TOKEN_END)
                return p->open == 1;
        return is_operator(p) || is(p, ".") || is(p, "[") || (p->open > 1 && p->open <= OPEN_MAX && waits_for_token(p, p->open - 2));
}

/* After a syntax error ANTLR leaves the rule that it is in, and goes on before the next token that may follow that or one of those
 * around it: the end, an operator, or what is still waited for. MEMBER: also what reaches into the value at hand. */
static struct node *recover(struct parser *p, bool member)
{
        struct node *n;

        while (p->token.kind != TOKEN_END && !is_operator(p)) {
                bool found = member && (is(p, ".") || is(p, "["));

                for (int i = 0; i < p->open && i < OPEN_MAX; i++)
                        found |= waits_for_token(p, i);
                if (found)
                        break;
                advance(p);
        }
        p->recovering = true;
        n = arena_calloc(p->arena, sizeof(*n));
        n->kind = NODE_IDENT;
        n->pos = (uint32_t)p->token.pos;
        n->slot = SLOT_NONE;
        n->name = "";
        return n;
}

/* PUNCT, as ANTLR looks for it: one token too many, or one that is missing, are told and passed over. WANTED: how it
 * is named there; MEMBER as in recover(). False: there is no ":", and nothing behind it. */
static bool expect_one(struct parser *p, const char *punct, const char *wanted, bool others, bool member)
{
        struct token after;

        if (accept(p, punct)) {
                p->open--;
                return true;
        }
        after = peek(p);
        if (p->token.kind != TOKEN_END && (token_is(p, &after, punct) || (others && token_is(p, &after, ",")))) {
                note(p, p->token.pos, "Syntax error: extraneous input '%s' expecting %s", token_text(p), wanted);
                if (others && !token_is(p, &after, punct)) { /* a comma, and what should have been the last */
                        advance(p);
                        next(p);
                        return expect_one(p, punct, arena_printf(p->arena, "'%s'", punct), false, member);
                }
        } else if (!others && may_follow(p, punct)) {
                note(p, p->token.pos, "Syntax error: missing '%s' at '%s'", punct, token_text(p));
                p->open--;
                return true;
        } else {
                note(p, p->token.pos, "Syntax error: mismatched input '%s' expecting %s", token_text(p), wanted);
                p->open--;
                recover(p, member);
                return *punct != ':';
        }
        next(p);
        p->open -= accept(p, punct);
        return true;
}

/* MEMBER: what it ends may be reached into. */
static bool expect(struct parser *p, const char *punct, bool member)
{
        return expect_one(p, punct, arena_printf(p->arena, "'%s'", punct), false, member);
}

/* --- nodes --- */

static struct node *new_node(struct parser *p, enum node_kind kind, size_t pos)
{
        struct node *n = arena_calloc(p->arena, sizeof(*n));

        n->kind = kind;
        n->pos = (uint32_t)pos;
        n->slot = SLOT_NONE;
        return n;
}

static void add_arg(struct parser *p, struct node *n, struct node *arg)
{
        if ((n->n & (n->n - 1)) == 0) {
                struct node **more = arena_alloc(p->arena, MAX(n->n * 2, (size_t)1) * sizeof(*more));

                if (n->n)
                        memcpy(more, n->args, n->n * sizeof(*more));
                n->args = more;
        }
        n->args[n->n++] = arg;
}

static struct node *call(struct parser *p, const char *function, size_t pos, struct node *x, struct node *y)
{
        struct node *n = new_node(p, NODE_CALL, pos);

        n->name = function;
        add_arg(p, n, x);
        if (y)
                add_arg(p, n, y);
        return n;
}

static struct node *expression(struct parser *p);

static struct node *expression_or(struct parser *p, const char *before_dot, const char *behind_not);

/* Expressions up to ")", which is taken. False: an error. */
static bool arguments(struct parser *p, struct node *n)
{
        open_until(p, n->member ? ",)" : ",).[");
        if (accept(p, ")")) {
                p->open--;
                return true;
        }
        do {
                struct node *arg = n->n > (size_t)n->member ? expression_or(p, "", "") : expression_or(p, "')', ", "");

                if (!arg)
                        return false;
                add_arg(p, n, arg);
        } while (accept(p, ","));
        return expect(p, ")", !n->member);
}

/* --- macros --- */

static const struct {
        const char *name;
        uint8_t min, max, vars; /* arguments with the variables */
        enum macro macro;
} macros[] = {
        { "all", 2, 2, 1, MACRO_ALL },
        { "all", 3, 3, 2, MACRO_ALL },
        { "exists", 2, 2, 1, MACRO_EXISTS },
        { "exists", 3, 3, 2, MACRO_EXISTS },
        { "exists_one", 2, 2, 1, MACRO_EXISTS_ONE },
        { "exists_one", 3, 3, 2, MACRO_EXISTS_ONE },
        { "existsOne", 3, 3, 2, MACRO_EXISTS_ONE },
        { "filter", 2, 2, 1, MACRO_FILTER },
        { "map", 2, 3, 1, MACRO_MAP },
        { "transformList", 3, 4, 2, MACRO_TRANSFORM_LIST },
        { "transformMap", 3, 4, 2, MACRO_TRANSFORM_MAP },
        { "transformMapEntry", 3, 4, 2, MACRO_TRANSFORM_ENTRY },
        { "sortBy", 2, 2, 1, MACRO_SORT_BY },
        { "optMap", 2, 2, 1, MACRO_OPT_MAP },
        { "optFlatMap", 2, 2, 1, MACRO_OPT_FLAT_MAP },
};

static const char *not_a_name(struct parser *p, enum macro macro, const char *name)
{
        if (macro >= MACRO_OPT_MAP)
                return arena_printf(p->arena, "%s() variable name must be a simple identifier", name);
        return macro == MACRO_FILTER || macro == MACRO_MAP || macro == MACRO_SORT_BY ? "argument is not an identifier"
                                                                                     : "argument must be a simple name";
}

/* A macro that is none: upstream tells it, and goes on. */
static struct node *wrong(struct parser *p, struct node *n, size_t pos, const char *fmt, ...) printf_like(4, 5);
static struct node *wrong(struct parser *p, struct node *n, size_t pos, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        complain(p, pos, arena_vprintf(p->arena, fmt, ap));
        va_end(ap);
        return n;
}

/* N is a member call; a macro's name with its number of arguments makes it a macro. */
static struct node *expand(struct parser *p, struct node *n)
{
        struct node *out;
        size_t m = 0, args = n->n - 1, vars;

        while (m < ARRAY_SIZE(macros) && (!streq(n->name, macros[m].name) || args < macros[m].min || args > macros[m].max))
                m++;
        if (m == ARRAY_SIZE(macros))
                return n;
        vars = macros[m].vars;
        if (macros[m].macro == MACRO_SORT_BY && n->args[0]->kind == NODE_LITERAL)
                return wrong(p, n, n->args[0]->pos,
                            "sortBy can only be applied to a list, identifier, comprehension, call or select expression");
        out = new_node(p, NODE_MACRO, n->pos);
        out->macro = macros[m].macro;
        out->name = n->name;
        add_arg(p, out, n->args[0]);
        for (size_t i = 0; i < vars; i++) {
                if (n->args[1 + i]->kind != NODE_IDENT)
                        return wrong(p, n, n->args[1 + i]->pos, "%s", not_a_name(p, out->macro, n->name));
                out->vars[i] = n->args[1 + i]->name;
                if (streq(out->vars[i], "__result__"))
                        return wrong(p, n, n->args[1 + i]->pos, "iteration variable overwrites accumulator variable");
        }
        if (vars == 2 && streq(out->vars[0], out->vars[1]))
                return wrong(p, n, n->args[2]->pos, "duplicate variable name: %s", out->vars[1]);
        /* With a filter the grammar has it before the transformation; the tree has it last. */
        add_arg(p, out, n->args[n->n - 1]);
        if (args > vars + 1)
                add_arg(p, out, n->args[1 + vars]);
        return out;
}

static struct node *expand_has(struct parser *p, struct node *n)
{
        struct node *field = n->n == 1 ? n->args[0] : NULL;

        if (!field)
                return n;
        if (field->kind != NODE_SELECT || field->test || field->optional)
                return wrong(p, n, field->pos, "invalid argument to has() macro");
        field->test = true;
        field->pos = n->pos;
        return field;
}

/* --- the grammar, from the inside out --- */

static bool reserved(const char *s)
{
        static const char *const words[] = { "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
                                             "let", "loop", "package", "namespace", "return", "var", "void", "while" };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(s, words[i]))
                        return true;
        return false;
}

/* Whether what stands here goes on with another item: behind a comma there may be none. */
static bool more_items(struct parser *p, const char *close, bool any)
{
        if (is(p, close) || (any && !is(p, "?") && !starts_expression(p, &p->token)))
                return false;
        return true;
}

/* "key: value, ?key: value }"; of messages the keys are names. */
static bool entries(struct parser *p, struct node *n, bool message)
{
        _cleanup_strbuf_ struct strbuf flags = STRBUF_INIT;
        bool comma = false;

        open_until(p, ",}.[");
        while (more_items(p, "}", comma)) {
                bool optional = accept(p, "?");
                struct node *key, *value;

                if (message && p->token.kind != TOKEN_IDENT) {
                        note(p, p->token.pos, "Syntax error: mismatched input '%s' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}",
                             token_text(p));
                        p->open--;
                        recover(p, true);
                        return true;
                }
                if (message) {
                        key = new_node(p, NODE_LITERAL, p->token.pos);
                        key->value = cel_string(token_text(p));
                        next(p);
                } else {
                        key = n->n || optional ? expression(p) : expression_or(p, "'}', ", "'?', ");
                }
                if (!key)
                        return false;
                open_until(p, ":");
                if (!expect(p, ":", false)) {
                        accept(p, ",");
                        return expect(p, "}", true);
                }
                if (!(value = expression_or(p, "", "")))
                        return false;
                add_arg(p, n, key);
                add_arg(p, n, value);
                strbuf_putc(&flags, (char)optional);
                comma = accept(p, ",");
                if (!comma && !is(p, "}")) {
                        n->flags = arena_memdup(p->arena, strbuf_str(&flags), flags.len + 1);
                        return expect_one(p, "}", "{'}', ','}", true, true);
                }
        }
        n->flags = arena_memdup(p->arena, strbuf_str(&flags), flags.len + 1);
        return expect(p, "}", true);
}

static bool items(struct parser *p, struct node *n)
{
        _cleanup_strbuf_ struct strbuf flags = STRBUF_INIT;
        bool comma = accept(p, ",");

        open_until(p, ",].[");
        if (p->token.kind == TOKEN_END && !comma)
                note(p, p->token.pos, "Syntax error: mismatched input '<EOF>' expecting {'[', ']', '{', '(', '.', ',', '-', '!', '?', 'true', 'false', "
                     "'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}");
        if (p->token.kind == TOKEN_END && !comma) {
                recover(p, true);
                return true;
        }
        while (!(comma && !n->n) && more_items(p, "]", comma)) {
                bool optional = accept(p, "?");
                struct node *item = expression(p);

                if (!item)
                        return false;
                add_arg(p, n, item);
                strbuf_putc(&flags, (char)optional);
                comma = accept(p, ",");
                if (!comma && !is(p, "]")) {
                        n->flags = arena_memdup(p->arena, strbuf_str(&flags), flags.len + 1);
                        return expect_one(p, "]", "{']', ','}", true, true);
                }
        }
        n->flags = arena_memdup(p->arena, strbuf_str(&flags), flags.len + 1);
        return expect(p, "]", true);
}

static struct node *literal(struct parser *p, struct cel_value v)
{
        struct node *n = new_node(p, NODE_LITERAL, p->token.pos);

        n->value = v;
        next(p);
        if (v.type == CEL_INT && v.i == INT64_MIN)
                return fail(p, n->pos, "invalid int literal");
        return n;
}

static struct node *identifier(struct parser *p, size_t pos)
{
        const char *name = token_text(p);
        struct node *n;

        if (streq(name, "true") || streq(name, "false"))
                return literal(p, cel_bool(*name == 't'));
        if (streq(name, "null"))
                return literal(p, (struct cel_value){ .type = CEL_NULL });
        if (reserved(name)) /* it is told, and stands for a name like any other */
                note(p, p->token.pos, "reserved identifier: %s", name);
        next(p);
        if (is(p, "(")) {
                n = new_node(p, NODE_CALL, p->token.pos);
                n->name = name;
                next(p);
                if (!arguments(p, n))
                        return NULL;
                return streq(name, "has") ? expand_has(p, n) : n;
        }
        n = new_node(p, NODE_IDENT, pos);
        n->name = name;
        return n;
}

static struct node *primary(struct parser *p)
{
        struct token t = p->token;
        struct node *n;
        bool rooted;

        if (t.kind == TOKEN_LITERAL)
                return literal(p, t.value);
        if (accept(p, "(")) {
                open_until(p, ").[");
                n = expression(p);
                return n && expect(p, ")", true) ? n : NULL;
        }
        if (accept(p, "[")) {
                n = new_node(p, NODE_LIST, t.pos);
                return items(p, n) ? n : NULL;
        }
        if (accept(p, "{")) {
                n = new_node(p, NODE_MAP, t.pos);
                return entries(p, n, false) ? n : NULL;
        }
        rooted = accept(p, ".");
        if (p->token.kind == TOKEN_IDENT && starts_expression(p, &p->token)) {
                n = identifier(p, p->token.pos);
                if (n)
                        n->rooted = rooted;
                return n;
        }
        note(p, p->token.pos, "Syntax error: mismatched input '%s' expecting " STARTS("", ""), token_text(p));
        return recover(p, false);
}

/* A token that no expression begins with, before one: it is told, and passed over. BEFORE_DOT, BEHIND_NOT: what else
 * may stand here, by its place in ANTLR's list. */
static void skip_extraneous(struct parser *p, const char *before_dot, const char *behind_not)
{
        struct token after;
        const char *wanted;

        if (p->token.kind == TOKEN_END || starts_expression(p, &p->token)) {
                if (p->token.kind == TOKEN_END && (*before_dot || *behind_not))
                        fail(p, p->token.pos, "Syntax error: mismatched input '<EOF>' expecting {'[', '{', %s'.', %s'-', '!', %s'true', 'false', "
                             "'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
                             *before_dot == '\'' && before_dot[1] == ')' ? "'(', ')', " : *before_dot ? "'}', '(', " : "'(', ",
                             *before_dot && before_dot[1] == '}' ? "',', " : "", behind_not);
                return;
        }
        after = peek(p);
        wanted = arena_printf(p->arena, "{'[', '{', %s'.', %s'-', '!', %s'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, "
                                        "BYTES, IDENTIFIER}", !*before_dot ? "'(', " : before_dot[1] == ')' ? "'(', ')', " : "'}', '(', ",
                              *before_dot && before_dot[1] == '}' ? "',', " : "", behind_not);
        if (!starts_expression(p, &after)) {
                if (*before_dot || *behind_not)
                        fail(p, p->token.pos, "Syntax error: mismatched input '%s' expecting %s", token_text(p), wanted);
                return;
        }
        note(p, p->token.pos, "Syntax error: extraneous input '%s' expecting %s", token_text(p), wanted);
        next(p);
}

static struct node *expression_or(struct parser *p, const char *before_dot, const char *behind_not)
{
        skip_extraneous(p, before_dot, behind_not);
        return p->failed ? NULL : expression(p);
}

/* "a.b.c" of a chain of names, else NULL. */
static const char *dotted(struct parser *p, const struct node *n)
{
        const char *left;

        if (n->kind == NODE_IDENT)
                return n->name;
        if (n->kind != NODE_SELECT || n->test || n->optional || !(left = dotted(p, n->args[0])))
                return NULL;
        return arena_printf(p->arena, "%s.%s", left, n->name);
}

/* Words that are never names. */
static bool keyword(const char *s)
{
        return streq(s, "in") || streq(s, "true") || streq(s, "false") || streq(s, "null");
}

/* DOT is the token before, BEHIND where it ended. */
static struct node *select_(struct parser *p, struct node *of, const struct token *dot, size_t behind)
{
        size_t pos = dot->pos;
        bool optional = accept(p, "?"), word;
        struct node *n;
        const char *name;

        if (p->token.kind == TOKEN_QUOTED)
                return fail(p, p->token.pos, "unsupported syntax: '`'");
        word = p->token.kind == TOKEN_IDENT && !keyword(token_text(p));
        if (!word && optional) {
                note(p, p->token.pos, "Syntax error: mismatched input '%s' expecting {IDENTIFIER, ESC_IDENTIFIER}", token_text(p));
                return fail(p, p->token.pos, "unsupported ident kind");
        }
        if (!word) {
                note(p, p->token.pos, "Syntax error: no viable alternative at input '%.*s'",
                     p->token.kind == TOKEN_END ? 1 : (int)(p->token.pos + p->token.len - pos), p->text + pos);
                p->token = *dot; /* nothing of it was taken */
                p->at = behind;
                recover(p, false);
                return of;
        }
        name = token_text(p);
        next(p);
        if (is(p, "(") && !optional) {
                n = call(p, name, p->token.pos, of, NULL);
                n->member = true;
                next(p);
                return arguments(p, n) ? expand(p, n) : NULL;
        }
        n = new_node(p, NODE_SELECT, pos);
        n->name = name;
        n->optional = optional;
        add_arg(p, n, of);
        return n;
}

static struct node *members(struct parser *p, struct node *n)
{
        int links = 0;

        while (n) {
                size_t pos = p->token.pos, behind = p->at;
                struct token dot = p->token;
                const char *name;

                if (++links > LINKS_MAX)
                        return fail(p, pos, "expression recursion limit exceeded: %d", LINKS_MAX);
                if (p->recovering && is(p, ".") && peek(p).kind != TOKEN_IDENT) {
                        advance(p);
                        recover(p, false);
                        return n;
                }
                if (accept(p, ".")) {
                        n = select_(p, n, &dot, behind);
                        if (p->recovering)
                                return n;
                } else if (accept(p, "[")) {
                        struct node *of = n;

                        n = new_node(p, NODE_INDEX, pos);
                        n->optional = accept(p, "?");
                        add_arg(p, n, of);
                        open_until(p, "]");
                        of = n->optional ? expression(p) : expression_or(p, "", "'?', ");
                        if (!of || !expect(p, "]", false))
                                return NULL;
                        add_arg(p, n, of);
                        if (p->recovering)
                                return n;
                } else if (is(p, "{") && (name = dotted(p, n))) {
                        next(p);
                        n = new_node(p, NODE_MESSAGE, pos);
                        n->name = name;
                        if (!entries(p, n, true))
                                return NULL;
                } else {
                        return n;
                }
        }
        return NULL;
}

static struct node *member(struct parser *p)
{
        return members(p, primary(p));
}

/* A minus belongs to the number behind it, which may be -2^63. Others after it have none: "--1" is -(-1). */
static bool is_negative_literal(const struct parser *p)
{
        return p->token.kind == TOKEN_LITERAL && (p->token.value.type == CEL_INT || p->token.value.type == CEL_DOUBLE);
}

static struct node *negative_literal(struct parser *p, size_t pos)
{
        struct node *n = new_node(p, NODE_LITERAL, pos);

        if (p->token.value.type == CEL_INT)
                p->token.value.i = (int64_t)-(uint64_t)p->token.value.i;
        else
                p->token.value.d = -p->token.value.d;
        n->value = p->token.value;
        next(p);
        return members(p, n);
}

static struct node *unary(struct parser *p)
{
        size_t pos = p->token.pos, times = 1, minus;
        const char *op = is(p, "!") ? "!" : "-";
        struct node *n;

        if (!is(p, op))
                return member(p);
        next(p);
        if (*op == '-' && is_negative_literal(p))
                return negative_literal(p, pos);
        for (; is(p, op); times++)
                next(p);
        if (p->token.kind == TOKEN_END && *op == '!')
                return fail(p, p->token.pos, "Syntax error: extraneous input '<EOF>' expecting " STARTS("", ""));
        if (p->token.kind == TOKEN_END)
                note(p, p->token.pos, "Syntax error: no viable alternative at input '%s'", op);
        else if (*op == '!' && !is(p, "-"))
                skip_extraneous(p, "", "");
        minus = p->token.pos;
        if (*op == '-' && is(p, "!")) { /* the minus then counts as one between two values */
                note(p, p->token.pos, "Syntax error: no viable alternative at input '%.*s'", (int)(p->token.pos + 1 - pos), p->text + pos);
                return unary(p);
        }
        if (*op == '!' && is(p, "-")) {
                struct token after = peek(p);

                if (after.kind == TOKEN_LITERAL && (after.value.type == CEL_INT || after.value.type == CEL_DOUBLE)) {
                        next(p);
                        n = negative_literal(p, minus);
                        return !n || times % 2 == 0 ? n : call(p, "!_", pos, n, NULL);
                }
        }
        n = member(p);
        return !n || times % 2 == 0 ? n : call(p, *op == '!' ? "!_" : "-_", pos, n, NULL);
}

static const struct {
        const char *op, *function;
        int level;
} operators[] = {
        { "*", "_*_", 2 }, { "/", "_/_", 2 }, { "%", "_%_", 2 }, { "+", "_+_", 1 }, { "-", "_-_", 1 },
        { "<", "_<_", 0 }, { "<=", "_<=_", 0 }, { ">", "_>_", 0 }, { ">=", "_>=_", 0 }, { "==", "_==_", 0 }, { "!=", "_!=_", 0 },
};

/* LEVEL 0: relations, 1: sums, 2: products. */
static struct node *binary(struct parser *p, int level)
{
        struct node *n = level == 3 ? unary(p) : binary(p, level + 1);

        for (int links = 0; n && level < 3; links++) {
                size_t pos = p->token.pos, i = 0;
                struct node *right;

                if (links > LINKS_MAX)
                        return fail(p, pos, "expression recursion limit exceeded: %d", LINKS_MAX);
                while (i < ARRAY_SIZE(operators) && (operators[i].level != level || !is(p, operators[i].op)))
                        i++;
                if (i < ARRAY_SIZE(operators)) {
                        next(p);
                        skip_extraneous(p, "", "");
                        right = binary(p, level + 1);
                        n = right ? call(p, operators[i].function, pos, n, right) : NULL;
                } else if (level == 0 && p->token.kind == TOKEN_IDENT && streq(token_text(p), "in")) {
                        next(p);
                        skip_extraneous(p, "", "");
                        right = binary(p, 1);
                        n = right ? call(p, "@in", pos, n, right) : NULL;
                } else {
                        return n;
                }
        }
        return n;
}

/* All that one kind of operator joins is one node: long chains need no deep recursion. */
static struct node *logical(struct parser *p, enum node_kind kind)
{
        const char *op = kind == NODE_OR ? "||" : "&&";
        struct node *first = kind == NODE_OR ? logical(p, NODE_AND) : binary(p, 0), *n = NULL;

        while (first && is(p, op)) {
                struct node *right;

                if (!n) {
                        n = new_node(p, kind, p->token.pos);
                        add_arg(p, n, first);
                }
                next(p);
                skip_extraneous(p, "", "");
                right = kind == NODE_OR ? logical(p, NODE_AND) : binary(p, 0);
                if (!right)
                        return NULL;
                add_arg(p, n, right);
        }
        return n ? n : first;
}

static struct node *expression(struct parser *p)
{
        struct node *n, *condition, *yes, *no;
        size_t pos;

        if (++p->depth > DEPTH_MAX)
                return fail(p, p->token.pos, "expression recursion limit exceeded: %d", DEPTH_MAX);
        condition = logical(p, NODE_OR);
        pos = p->token.pos;
        if (condition && accept(p, "?")) {
                open_until(p, ":");
                skip_extraneous(p, "", "");
                yes = logical(p, NODE_OR);
                if (!yes)
                        return NULL;
                if (!expect(p, ":", false)) {
                        p->depth--;
                        return new_node(p, NODE_TERNARY, pos);
                }
                no = expression_or(p, "", "");
                if (!no)
                        return NULL;
                n = new_node(p, NODE_TERNARY, pos);
                add_arg(p, n, condition);
                add_arg(p, n, yes);
                add_arg(p, n, no);
                condition = n;
        }
        p->depth--;
        return condition;
}

/* All errors, in the order of the text. */
const char *cel_describe_errors(struct arena *a, const char *text, struct complaint *list, size_t n)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 1; i < n; i++)
                for (size_t k = i; k > 0 && list[k - 1].pos > list[k].pos; k--) {
                        struct complaint x = list[k];

                        list[k] = list[k - 1];
                        list[k - 1] = x;
                }
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s%s", i ? "\n" : "", cel_describe_error(a, text, list[i].pos, list[i].message));
        return arena_strdup(a, strbuf_str(&b));
}

int cel_parse(struct arena *a, const char *text, struct node **ret, struct error *reterr)
{
        struct parser p = { .arena = a, .text = text, .len = strlen(text) };
        struct node *n = NULL;

        if (p.len > TEXT_MAX) {
                fail(&p, 0, "expression code point size exceeds limit: size: %zu, limit %d", p.len, TEXT_MAX);
        } else {
                next(&p);
                skip_extraneous(&p, "", "");
                n = expression(&p);
        }
        if (n && p.token.kind != TOKEN_END) {
                note(&p, p.token.pos, "Syntax error: %s input '%s' expecting <EOF>",
                     peek(&p).kind == TOKEN_END ? "extraneous" : "mismatched", token_text(&p));
                while (p.token.kind != TOKEN_END) /* what is no token is told of the rest as well */
                        next(&p);
        }
        if (p.n_errors)
                return error_set(reterr, -EINVAL, "%s", cel_describe_errors(a, text, p.errors, p.n_errors));
        *ret = n;
        return 0;
}
