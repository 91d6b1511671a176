/* The checker: names get their meaning (variables, types, functions, name spaces), and types are followed as far as
 * literals and functions tell them. What comes from JSON stays dynamic. */
#include "ast.h"

/* Trees deeper than this would ask too much of a fiber's stack. */
enum { TREE_DEPTH_MAX = 400 };

struct scope {
        const struct scope *outer;
        const char *name;
        int slot;
};

struct checker {
        struct arena *arena;
        const char *text;
        const char *const *variables;
        size_t n_slots;
        struct strbuf errors;
};

static const struct {
        const char *name;
        enum cel_type type;
} type_names[] = {
        { "null_type", CEL_NULL }, { "bool", CEL_BOOL }, { "int", CEL_INT }, { "uint", CEL_UINT }, { "double", CEL_DOUBLE },
        { "string", CEL_STRING }, { "bytes", CEL_BYTES }, { "list", CEL_LIST }, { "map", CEL_MAP }, { "type", CEL_TYPE },
        { "optional_type", CEL_OPTIONAL }, { "google.protobuf.Timestamp", CEL_TIMESTAMP },
        { "google.protobuf.Duration", CEL_DURATION }, { "kubernetes.Quantity", CEL_QUANTITY }, { "net.IP", CEL_IP },
        { "net.CIDR", CEL_CIDR }, { "kubernetes.URL", CEL_URL }, { "kubernetes.Semver", CEL_SEMVER },
        { "kubernetes.NamedFormat", CEL_FORMAT },
};

const struct function *function_find(const char *name, bool member, size_t n, bool *ret_known)
{
        static const struct function *const tables[] = { functions_standard, functions_strings, functions_kubernetes,
                                                         functions_network };

        *ret_known = false;
        for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
                for (const struct function *f = tables[t]; f->name; f++) {
                        if (!streq(f->name, name))
                                continue;
                        *ret_known = true;
                        if ((member ? f->member : f->global) && n >= f->min && n <= f->max)
                                return f;
                }
        }
        return NULL;
}

static void complain(struct checker *c, const struct node *n, const char *fmt, ...) printf_like(3, 4);
static void complain(struct checker *c, const struct node *n, const char *fmt, ...)
{
        const char *message;
        va_list ap;

        va_start(ap, fmt);
        message = arena_vprintf(c->arena, fmt, ap);
        va_end(ap);
        strbuf_printf(&c->errors, "%s%s", c->errors.len ? "\n" : "", cel_describe_error(c->arena, c->text, n->pos, message));
}

static const struct scope *lookup(const struct scope *s, const char *name)
{
        while (s && !streq(s->name, name))
                s = s->outer;
        return s;
}

static bool declared(const struct checker *c, const struct scope *scope, const char *name)
{
        if (lookup(scope, name))
                return true;
        for (const char *const *v = c->variables; *v; v++)
                if (!strncmp(*v, name, strlen(name)) && strchr(".", (*v)[strlen(name)]))
                        return true;
        return false;
}

/* A variable whose fields are declared has no others. */
static bool lacks_field(const struct checker *c, const struct scope *scope, const struct node *n)
{
        const struct node *of = n->args[0];
        size_t len = of->kind == NODE_IDENT && !lookup(scope, of->name) ? strlen(of->name) : 0;
        bool closed = false;

        for (const char *const *v = c->variables; len && *v; v++) {
                if (strncmp(*v, of->name, len) != 0 || (*v)[len] != '.')
                        continue;
                if (streq(*v + len + 1, n->name))
                        return false;
                closed = true;
        }
        return closed;
}

/* "a.b" of a chain whose first name is no variable: it may be a type or a name space. NULL: it is none. */
static const char *qualified(struct checker *c, const struct scope *scope, const struct node *n)
{
        const char *left;

        if (n->kind == NODE_IDENT)
                return declared(c, scope, n->name) ? NULL : n->name;
        if (n->kind != NODE_SELECT || n->test || n->optional || !(left = qualified(c, scope, n->args[0])))
                return NULL;
        return arena_printf(c->arena, "%s.%s", left, n->name);
}

static bool become_type(struct node *n, const char *name)
{
        for (size_t i = 0; name && i < ARRAY_SIZE(type_names); i++) {
                if (!streq(name, type_names[i].name))
                        continue;
                n->kind = NODE_LITERAL;
                n->type = CEL_TYPE;
                n->value = cel_typed(cel_type_word(type_names[i].type));
                return true;
        }
        return false;
}

static void check(struct checker *c, const struct scope *scope, struct node *n, int depth);

static void check_args(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        for (size_t i = 0; i < n->n; i++)
                check(c, scope, n->args[i], depth);
}

static void check_ident(struct checker *c, const struct scope *scope, struct node *n)
{
        const struct scope *s = lookup(scope, n->name);

        if (s)
                n->slot = s->slot;
        else if (!declared(c, scope, n->name) && !become_type(n, n->name))
                complain(c, n, "undeclared reference to '%s' (in container '')", n->name);
}

/* "(int, string)" */
static const char *signature(struct checker *c, const struct node *n)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < n->n; i++)
                strbuf_printf(&b, "%s%s", i ? ", " : "", cel_type_word(n->args[i]->type));
        return arena_strdup(c->arena, strbuf_str(&b));
}

static bool is_number(enum cel_type t)
{
        return t == CEL_INT || t == CEL_UINT || t == CEL_DOUBLE;
}

/* What an operator makes of types that are known; CEL_ERROR: nothing. */
static enum cel_type operator_type(const char *op, enum cel_type x, enum cel_type y)
{
        if (x == CEL_DYN || y == CEL_DYN)
                return strchr("+-*/%", op[1]) ? CEL_DYN : CEL_BOOL;
        if (streq(op, "_==_") || streq(op, "_!=_"))
                return x == y || (is_number(x) && is_number(y)) || x == CEL_NULL || y == CEL_NULL ? CEL_BOOL : CEL_ERROR;
        if (op[1] == '<' || op[1] == '>')
                return (x == y && (is_number(x) || x == CEL_BOOL || x == CEL_STRING || x == CEL_BYTES || x == CEL_TIMESTAMP ||
                                   x == CEL_DURATION)) || (is_number(x) && is_number(y)) ? CEL_BOOL : CEL_ERROR;
        if (op[1] == '%')
                return x == y && (x == CEL_INT || x == CEL_UINT) ? x : CEL_ERROR;
        if (op[1] == '+' && ((x == CEL_TIMESTAMP && y == CEL_DURATION) || (x == CEL_DURATION && y == CEL_TIMESTAMP)))
                return CEL_TIMESTAMP;
        if (op[1] == '-' && x == CEL_TIMESTAMP)
                return y == CEL_DURATION ? CEL_TIMESTAMP : y == CEL_TIMESTAMP ? CEL_DURATION : CEL_ERROR;
        if (x == y && (is_number(x) || ((op[1] == '+' || op[1] == '-') && x == CEL_DURATION) ||
                       (op[1] == '+' && (x == CEL_STRING || x == CEL_BYTES || x == CEL_LIST))))
                return x;
        return CEL_ERROR;
}

static enum cel_type call_type(const struct node *n)
{
        enum cel_type x = n->args[0]->type, y = n->n > 1 ? n->args[1]->type : CEL_DYN;

        if (*n->name == '_')
                return operator_type(n->name, x, y);
        if (streq(n->name, "!_"))
                return x == CEL_DYN || x == CEL_BOOL ? CEL_BOOL : CEL_ERROR;
        if (streq(n->name, "-_"))
                return x == CEL_DYN || x == CEL_INT || x == CEL_DOUBLE ? x : CEL_ERROR;
        if (streq(n->name, "@in"))
                return y == CEL_DYN || y == CEL_LIST || y == CEL_MAP ? CEL_BOOL : CEL_ERROR;
        return n->function->type;
}

static void check_call(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        const char *space = n->member ? qualified(c, scope, n->args[0]) : NULL, *name;
        bool known, spaced;

        /* "sets.contains(a, b)" reads as a member of "sets": it is a function of that name. */
        if (space) {
                name = arena_printf(c->arena, "%s.%s", space, n->name);
                n->function = function_find(name, false, n->n - 1, &spaced);
                if (spaced) {
                        n->name = name;
                        n->member = false;
                        n->args++;
                        n->n--;
                }
        }
        check_args(c, scope, n, depth);
        if (!n->function)
                n->function = function_find(n->name, n->member, n->n, &known);
        else
                known = true;
        if (!n->function && !known) {
                complain(c, n, "undeclared reference to '%s' (in container '')", n->name);
        } else if (!n->function || (n->n && (n->type = call_type(n)) == CEL_ERROR)) {
                if (n->member)
                        complain(c, n, "found no matching overload for '%s' applied to '%s.(%s)'", n->name,
                                 cel_type_word(n->args[0]->type), "");
                else
                        complain(c, n, "found no matching overload for '%s' applied to '(%s)'", n->name, signature(c, n));
                n->type = CEL_DYN;
        } else if (!n->n) {
                n->type = n->function->type;
        }
}

static void check_macro(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        struct scope one = { scope, n->vars[0], (int)c->n_slots }, two = { &one, n->vars[1], (int)c->n_slots + 1 };
        const struct scope *inner = n->vars[1] ? &two : &one;
        enum cel_type range;

        check(c, scope, n->args[0], depth);
        range = n->args[0]->type;
        n->slot = (int)c->n_slots;
        c->n_slots += 2;
        if (n->macro < MACRO_OPT_MAP && range != CEL_DYN && range != CEL_LIST && range != CEL_MAP)
                complain(c, n->args[0], "expression of type '%s' cannot be range of a comprehension (must be list, map, or dynamic)",
                         cel_type_word(range));
        for (size_t i = 1; i < n->n; i++)
                check(c, inner, n->args[i], depth);
        n->type = n->macro <= MACRO_EXISTS_ONE ? CEL_BOOL
                  : n->macro <= MACRO_TRANSFORM_LIST ? CEL_LIST
                  : n->macro <= MACRO_TRANSFORM_ENTRY ? CEL_MAP : CEL_OPTIONAL;
        if (n->macro <= MACRO_FILTER && n->args[1]->type != CEL_DYN && n->args[1]->type != CEL_BOOL)
                complain(c, n->args[1], "expected type 'bool' but found '%s'", cel_type_word(n->args[1]->type));
}

static void check_bools(struct checker *c, struct node *n, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++)
                if (n->args[i]->type != CEL_DYN && n->args[i]->type != CEL_BOOL) {
                        complain(c, n, "found no matching overload for '%s' applied to '(%s)'",
                                 n->kind == NODE_AND ? "_&&_" : n->kind == NODE_OR ? "_||_" : "_?_:_", signature(c, n));
                        return;
                }
}

static void check(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        if (depth > TREE_DEPTH_MAX) {
                if (!c->errors.len)
                        complain(c, n, "expression recursion limit exceeded: %d", TREE_DEPTH_MAX);
                return;
        }
        depth++;
        switch (n->kind) {
        case NODE_LITERAL:
                n->type = n->value.type;
                break;
        case NODE_IDENT:
                check_ident(c, scope, n);
                break;
        case NODE_SELECT:
                if (!n->test && !n->optional && become_type(n, qualified(c, scope, n)))
                        break;
                check_args(c, scope, n, depth);
                if (lacks_field(c, scope, n))
                        complain(c, n, "undefined field '%s'", n->name);
                if (n->args[0]->type != CEL_DYN && n->args[0]->type != CEL_MAP && n->args[0]->type != CEL_OPTIONAL)
                        complain(c, n, "type '%s' does not support field selection", cel_type_word(n->args[0]->type));
                n->type = n->test ? CEL_BOOL : n->optional || n->args[0]->type == CEL_OPTIONAL ? CEL_OPTIONAL : CEL_DYN;
                break;
        case NODE_INDEX:
                check_args(c, scope, n, depth);
                n->type = n->optional || n->args[0]->type == CEL_OPTIONAL ? CEL_OPTIONAL : CEL_DYN;
                break;
        case NODE_CALL:
                check_call(c, scope, n, depth);
                break;
        case NODE_LIST:
                check_args(c, scope, n, depth);
                n->type = CEL_LIST;
                break;
        case NODE_MAP:
        case NODE_MESSAGE:
                check_args(c, scope, n, depth);
                n->type = CEL_MAP;
                break;
        case NODE_AND:
        case NODE_OR:
                check_args(c, scope, n, depth);
                check_bools(c, n, 0, n->n);
                n->type = CEL_BOOL;
                break;
        case NODE_TERNARY:
                check_args(c, scope, n, depth);
                check_bools(c, n, 0, 1);
                n->type = n->args[1]->type == n->args[2]->type ? n->args[1]->type : CEL_DYN;
                break;
        case NODE_MACRO:
                check_macro(c, scope, n, depth);
                break;
        }
}

int cel_compile(struct arena *a, const char *text, const char *const *variables, struct cel_program **ret,
                struct error *reterr)
{
        struct checker c = { .arena = a, .text = text, .variables = variables };
        struct cel_program *p = arena_calloc(a, sizeof(*p));
        int r = cel_parse(a, text, &p->root, reterr);

        if (r < 0) {
                error_wrap(reterr, r, "compilation failed");
                return r;
        }
        check(&c, NULL, p->root, 0);
        p->n_slots = c.n_slots;
        r = c.errors.len ? error_set(reterr, -EINVAL, "compilation failed: %s", c.errors.data) : 0;
        strbuf_deinit(&c.errors);
        if (!r)
                *ret = p;
        return r;
}

enum cel_type cel_program_type(const struct cel_program *p)
{
        return p->root->type;
}

static bool uses(const struct node *n, const char *variable)
{
        if (n->kind == NODE_IDENT && n->slot < 0 && streq(n->name, variable))
                return true;
        for (size_t i = 0; i < n->n; i++)
                if (uses(n->args[i], variable))
                        return true;
        return false;
}

bool cel_program_uses(const struct cel_program *p, const char *variable)
{
        return uses(p->root, variable);
}
