/* The checker: names get their meaning, and every expression its type (cel-spec's doc/langdef.md, "Gradual type checking").
 * What comes from JSON without a schema is dyn, and fits everywhere. */
#include <stdlib.h>
#include <string.h>

#include "../meta/regexp.h"
#include "ast.h"

/* Trees deeper than this would ask too much of a fiber's stack. */
enum { TREE_DEPTH_MAX = 400, ERRORS_MAX = 100, ARGS_MAX = 8, FIT_MAX = 16 };

struct scope {
        const struct scope *outer;
        const char *name;
        const struct cel_shape *shape;
        int slot;
};

struct checker {
        struct arena *arena; /* until the end of compiling */
        struct arena *kept;  /* the program's */
        const char *text;
        const struct cel_env *env;
        struct bindings types;
        size_t n_slots;
        struct complaint errors[ERRORS_MAX];
        size_t n_errors;
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
                                                         functions_network, functions_extended,
                                                         functions_format };

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

/* --- errors --- */

static void complain_at(struct checker *c, size_t pos, const char *fmt, ...) printf_like(3, 4);
static void complain_at(struct checker *c, size_t pos, const char *fmt, ...)
{
        va_list ap;

        if (c->n_errors == ERRORS_MAX)
                return;
        va_start(ap, fmt);
        c->errors[c->n_errors++] = (struct complaint){ pos, arena_vprintf(c->arena, fmt, ap) };
        va_end(ap);
}

#define complain(c, n, ...) complain_at(c, (n)->pos, __VA_ARGS__)

static const char *show(struct checker *c, const struct cel_shape *s)
{
        return cel_shape_text(c->arena, s, false);
}

/* --- types of nodes --- */

static const struct cel_shape *simple(enum cel_type t)
{
        return &cel_shapes[t];
}

static struct known *known(struct checker *c, struct node *n)
{
        if (!n->known)
                n->known = arena_calloc(c->arena, sizeof(*n->known));
        return n->known;
}

static const struct cel_shape *shape_of(const struct node *n)
{
        return n->known->shape;
}

static void set(struct checker *c, struct node *n, const struct cel_shape *s)
{
        known(c, n)->shape = s;
}

static void mismatch(struct checker *c, const struct node *at, const struct cel_shape *wanted, const struct cel_shape *got)
{
        complain(c, at, "expected type '%s' but found '%s'", show(c, wanted), show(c, got));
}

static bool want(struct checker *c, const struct node *n, const struct cel_shape *wanted)
{
        if (shape_fits(&c->types, shape_of(n), wanted))
                return true;
        mismatch(c, n, wanted, shape_of(n));
        return false;
}

/* --- names --- */

static const struct scope *lookup(const struct scope *s, const char *name)
{
        while (s && !streq(s->name, name))
                s = s->outer;
        return s;
}

static const struct cel_variable *variable(const struct checker *c, const char *name)
{
        for (size_t i = 0; i < c->env->n; i++)
                if (streq(c->env->variables[i].name, name))
                        return &c->env->variables[i];
        return NULL;
}

/* "a.b" of a chain of names; NULL: it is none, or its first name is a local variable. */
static const char *qualified(struct checker *c, const struct scope *scope, const struct node *n)
{
        const char *left;

        if (n->kind == NODE_IDENT)
                return lookup(scope, n->name) ? NULL : n->name;
        if (n->kind != NODE_SELECT || n->test || n->optional || !(left = qualified(c, scope, n->args[0])))
                return NULL;
        return arena_printf(c->arena, "%s.%s", left, n->name);
}

/* N may be the name of a variable or of a type as a whole. */
static bool resolve_name(struct checker *c, struct node *n, const char *name)
{
        const struct cel_variable *v = name ? variable(c, name) : NULL;

        if (v) {
                n->kind = NODE_IDENT;
                n->name = v->name;
                set(c, n, v->shape);
                return true;
        }
        for (size_t i = 0; name && i < ARRAY_SIZE(type_names); i++) {
                const struct cel_shape *params[2] = { &(const struct cel_shape){ CEL_PARAM, .param = 0 } };
                const struct cel_shape *s = simple(type_names[i].type);

                if (!streq(name, type_names[i].name))
                        continue;
                params[0] = s;
                n->kind = NODE_LITERAL;
                n->value = cel_typed(cel_type_word(type_names[i].type));
                set(c, n, shape_type_of(c->arena, params[0]));
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

        if (s) {
                n->slot = s->slot;
                set(c, n, s->shape);
        } else if (!resolve_name(c, n, n->name)) {
                complain(c, n, "undeclared reference to '%s%s' (in container '')", n->rooted ? "." : "", n->name);
                set(c, n, simple(CEL_ERROR));
        }
}

/* --- fields --- */

/* CEL's own words may be written as they are. */
static const struct cel_member *member_of(const struct cel_shape *s, const char *name)
{
        size_t len = strlen(name);

        for (size_t i = 0; i < s->n_members; i++) {
                const struct cel_member *m = &s->members[i];

                if (streq(m->name, name) || (streq(m->field, name) && !strncmp(m->name, "__", 2) && strlen(m->name) == len + 4))
                        return m;
        }
        return NULL;
}

static const struct cel_shape *field_shape(struct checker *c, struct node *n, const struct cel_shape *of)
{
        const struct cel_member *m;

        switch (of->type) {
        case CEL_MAP:
                return of->of[1];
        case CEL_PARAM:
                shape_fits(&c->types, simple(CEL_DYN), of);
                return simple(CEL_DYN);
        case CEL_DYN:
        case CEL_ERROR:
                return simple(CEL_DYN);
        case CEL_QUANTITY:
        case CEL_URL:
        case CEL_SEMVER:
        case CEL_FORMAT:
                complain(c, n, "unexpected failed resolution of '%s'", cel_type_word(of->type));
                return simple(CEL_ERROR);
        case CEL_OBJECT:
                if (of->open)
                        return simple(CEL_DYN);
                m = member_of(of, n->name);
                if (m) {
                        n->name = m->field;
                        return m->shape;
                }
                complain(c, n, !str_has_prefix(of->name, "kubernetes.authorization") ? "undefined field '%s'"
                                                                                                : "unexpected failed resolution of '%s'",
                         !str_has_prefix(of->name, "kubernetes.authorization") ? n->name : of->name);
                return simple(CEL_ERROR);
        default:
                complain(c, n, "type '%s' does not support field selection", show(c, of));
                return simple(CEL_DYN);
        }
}

static void check_select(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        const struct cel_shape *of, *s;
        bool optional = n->optional;

        if (!n->test && !n->optional && resolve_name(c, n, qualified(c, scope, n)))
                return;
        check_args(c, scope, n, depth);
        of = shape_resolve(&c->types, shape_of(n->args[0]), false);
        if (of->type == CEL_OPTIONAL) {
                of = of->of[0];
                optional = true;
        }
        s = field_shape(c, n, of);
        if (n->test)
                s = simple(CEL_BOOL);
        else if (optional)
                s = cel_shape_optional(c->arena, s);
        set(c, n, shape_resolve(&c->types, s, false));
}

/* --- calls --- */

/* "(int, string)"; of members "string.(int)". */
static const char *arguments_text(struct checker *c, const struct node *n)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < n->n; i++) {
                const char *s = show(c, shape_resolve(&c->types, shape_of(n->args[i]), true));

                if (i == 0 && n->member)
                        strbuf_printf(&b, "%s.(", s);
                else
                        strbuf_printf(&b, "%s%s", i > (size_t)n->member ? ", " : n->member ? "" : "(", s);
        }
        strbuf_puts(&b, n->n ? ")" : "()");
        return arena_strdup(c->arena, strbuf_str(&b));
}

/* One list of arguments ("ss") of a signature: whether N's fit; then *ret is what the call comes to. */
static bool try_signature(struct checker *c, const struct node *n, const struct signature *sig, const char *args,
                          const struct cel_shape **ret)
{
        const struct cel_shape *params[2], *wanted[ARGS_MAX], *given[ARGS_MAX];
        const char *at = args, *result = sig->result;
        size_t i = 0;

        if (n->n > ARGS_MAX)
                return false;
        for (i = 0; i < 2; i++)
                params[i] = memchr(args, 'A' + (int)i, strcspn(args, " ")) || strchr(result, 'A' + (int)i) ? bindings_new(&c->types) : NULL;
        i = 0;
        for (; *at && *at != ' '; i++) {
                if (i == n->n)
                        return false;
                wanted[i] = shape_read(c->arena, &at, params);
                given[i] = shape_of(n->args[i]);
        }
        if (i != n->n || !shape_fits_all(&c->types, i, given, wanted))
                return false;
        *ret = shape_resolve(&c->types, shape_read(c->arena, &result, params), false);
        return true;
}

/* FUNCTION by the shapes of N's arguments: what it comes to, or an error. */
static void resolve_call(struct checker *c, struct node *n, const char *function)
{
        const struct cel_shape *result = NULL, *one = NULL;
        bool declared = false;
        struct known *k = known(c, n);

        k->n_called = 0;
        for (const struct signature *sig = signatures; sig->name; sig++) {
                const char *args = sig->args;

                if (!streq(sig->name, function))
                        continue;
                if (streq(function, "jsonpatch.escapeKey") && !c->env->patches)
                        continue;
                declared = true;
                if (sig->member != n->member)
                        continue;
                for (;; args = strchr(args, ' ') + 1) {
                        if (try_signature(c, n, sig, args, &one)) {
                                if (!k->called)
                                        k->called = arena_calloc(c->arena, FIT_MAX * sizeof(*k->called));
                                if (k->n_called < FIT_MAX)
                                        k->called[k->n_called++] = args;
                                if (!result)
                                        result = one;
                                else if (result->type != CEL_DYN && !shape_same(one, result))
                                        result = simple(CEL_DYN);
                        }
                        if (!strchr(args, ' '))
                                break;
                }
        }
        if (!declared)
                complain(c, n, "undeclared reference to '%s%s' (in container '')", n->rooted ? "." : "", function);
        else if (!result)
                complain(c, n, "found no matching overload for '%s' applied to '%s'", function, arguments_text(c, n));
        set(c, n, result ? result : simple(CEL_ERROR));
}

static bool declared(const struct checker *c, const char *function)
{
        for (const struct signature *s = signatures; s->name; s++)
                if (streq(s->name, function))
                        return c->env->patches || !streq(function, "jsonpatch.escapeKey");
        return false;
}

static void check_call(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        const char *space = n->member ? qualified(c, scope, n->args[0]) : NULL, *name;
        bool exists;

        /* "sets.contains(a, b)" reads as a member of "sets": it is a function of that name. */
        name = space ? arena_printf(c->kept, "%s.%s", space, n->name) : NULL;
        if (name && declared(c, name)) {
                n->name = name;
                n->member = false;
                n->args++;
                n->n--;
        }
        check_args(c, scope, n, depth);
        resolve_call(c, n, n->name);
        n->function = function_find(n->name, n->member, n->n, &exists);
}

/* --- literals --- */

/* Of items, keys or values: what all of them are. SO_FAR NULL: there was none yet. What differs is dyn: see mixed(). */
static const struct cel_shape *join(struct checker *c, const struct cel_shape *so_far, const struct cel_shape *next)
{
        if (!so_far)
                return next;
        return shape_fits(&c->types, so_far, next) ? shape_wider(so_far, next) : simple(CEL_DYN);
}

static const struct cel_shape *unwrapped(struct checker *c, const struct node *n, bool optional)
{
        const struct cel_shape *s = shape_of(n);

        if (!optional)
                return s;
        if (s->type == CEL_OPTIONAL)
                return s->of[0];
        if (s->type != CEL_DYN)
                mismatch(c, n, cel_shape_optional(c->arena, s), s);
        return s;
}

static void check_list(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        const struct cel_shape *items = NULL;

        for (size_t i = 0; i < n->n; i++) {
                check(c, scope, n->args[i], depth);
                items = join(c, items, unwrapped(c, n->args[i], n->flags[i]));
        }
        set(c, n, cel_shape_list(c->arena, items ? items : bindings_new(&c->types), 0));
}

static void check_map(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        const struct cel_shape *keys = NULL, *values = NULL;

        for (size_t i = 0; i + 1 < n->n; i += 2) {
                check(c, scope, n->args[i], depth);
                keys = join(c, keys, shape_of(n->args[i]));
                check(c, scope, n->args[i + 1], depth);
                values = join(c, values, unwrapped(c, n->args[i + 1], n->flags[i / 2]));
        }
        set(c, n, cel_shape_map(c->arena, keys ? keys : bindings_new(&c->types), values ? values : bindings_new(&c->types), 0));
}

/* Object{}, Object.spec{} and JSONPatch{}, where mutations are written; there are no other messages. */
static void check_message(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        static const char *const patch_fields[] = { "op", "path", "from", "value" };
        bool patch = streq(n->name, "JSONPatch"), object = streq(n->name, "Object") || str_has_prefix(n->name, "Object.");
        struct cel_shape *s = arena_calloc(c->arena, sizeof(*s));

        if (!c->env->patches || (!patch && !object)) {
                complain(c, n, "undeclared reference to '%s' (in container '')", n->name);
                set(c, n, simple(CEL_ERROR));
                return;
        }
        for (size_t i = 0; i + 1 < n->n; i += 2) {
                const char *field = cel_text(c->arena, &n->args[i]->value);
                const struct cel_shape *given;
                bool found = object;

                set(c, n->args[i], simple(CEL_STRING));
                check(c, scope, n->args[i + 1], depth);
                given = unwrapped(c, n->args[i + 1], n->flags[i / 2]);
                for (size_t k = 0; patch && k < ARRAY_SIZE(patch_fields); k++)
                        found |= streq(field, patch_fields[k]);
                if (!found)
                        complain(c, n->args[i], "undefined field '%s'", field);
                else if (patch && !streq(field, "value") && !shape_fits(&c->types, simple(CEL_STRING), given))
                        complain(c, n->args[i], "expected type of field '%s' is 'string' but provided type is '%s'", field,
                                 show(c, given));
        }
        *s = (struct cel_shape){ CEL_OBJECT, .name = n->name, .weight = 1, .open = true };
        set(c, n, s);
}

/* --- macros --- */

static void check_loop(struct checker *c, const struct scope *scope, struct node *n, int slot, int depth)
{
        const struct cel_shape *range, *one, *two = NULL, *first;
        struct scope gathered, x, y;
        const struct scope *inner;

        check(c, scope, n->args[LOOP_RANGE], depth);
        check(c, scope, n->args[LOOP_FIRST], depth);
        first = shape_of(n->args[LOOP_FIRST]);
        range = shape_resolve(&c->types, shape_of(n->args[LOOP_RANGE]), false);
        switch (range->type) {
        case CEL_LIST:
                one = n->vars[1] ? simple(CEL_INT) : range->of[0];
                two = range->of[0];
                break;
        case CEL_MAP:
                one = range->of[0];
                two = range->of[1];
                break;
        case CEL_DYN:
        case CEL_ERROR:
        case CEL_PARAM:
                shape_fits(&c->types, simple(CEL_DYN), range);
                one = two = simple(CEL_DYN);
                break;
        default:
                complain(c, n->args[LOOP_RANGE], "expression of type '%s' cannot be range of a comprehension (must be list, map, or dynamic)",
                         show(c, range));
                one = two = simple(CEL_ERROR);
        }
        gathered = (struct scope){ scope, SO_FAR, first, SLOT_NONE };
        x = (struct scope){ &gathered, n->vars[0], one, slot };
        y = (struct scope){ &x, n->vars[1] ? n->vars[1] : "", two, slot + 1 };
        inner = n->vars[1] ? &y : &x;
        check(c, inner, n->args[LOOP_GOING], depth);
        want(c, n->args[LOOP_GOING], simple(CEL_BOOL));
        check(c, inner, n->args[LOOP_STEP], depth);
        if (!shape_fits(&c->types, first, shape_of(n->args[LOOP_STEP])))
                mismatch(c, n->args[LOOP_STEP], first, shape_of(n->args[LOOP_STEP]));
        check(c, &gathered, n->args[LOOP_RESULT], depth);
        set(c, n, shape_resolve(&c->types, shape_of(n->args[LOOP_RESULT]), false));
}

/* A call to FUNCTION with nodes that are checked. */
static const struct cel_shape *made_call(struct checker *c, struct node *at, const char *function, bool member, struct node *x,
                                         struct node *y, struct node *z)
{
        struct node *args[3] = { x, y, z }, call = { .kind = NODE_CALL, .pos = at->pos, .name = function, .member = member,
                                                     .args = args, .n = z ? 3 : y ? 2 : x ? 1 : 0 };

        resolve_call(c, &call, function);
        return call.known->shape;
}

/* a.optMap(x, f) is a.hasValue() ? optional.of(f with x = a.value()) : optional.none() */
static void check_opt_map(struct checker *c, const struct scope *scope, struct node *n, int slot, int depth)
{
        struct node *of = n->args[0], yes = { .pos = n->pos }, no = { .pos = n->pos }, has = { .pos = n->pos };
        struct scope x = { scope, n->vars[0], NULL, slot };

        check(c, scope, of, depth);
        set(c, &has, made_call(c, n, "hasValue", true, of, NULL, NULL));
        x.shape = made_call(c, n, "value", true, of, NULL, NULL);
        check(c, &x, n->args[1], depth);
        set(c, &yes, n->macro == MACRO_OPT_MAP ? made_call(c, n, "optional.of", false, n->args[1], NULL, NULL) : shape_of(n->args[1]));
        set(c, &no, made_call(c, n, "optional.none", false, NULL, NULL, NULL));
        set(c, n, made_call(c, n, "_?_:_", false, &has, &yes, &no));
}

static void check_sort_by(struct checker *c, const struct scope *scope, struct node *n, int slot, int depth)
{
        struct scope sorted = { scope, SORTED, NULL, SLOT_NONE };
        struct node *meaning = n->known->meaning;

        check(c, scope, n->args[0], depth);
        sorted.shape = shape_of(n->args[0]);
        check_loop(c, &sorted, meaning, slot, depth);
        set(c, n, made_call(c, n, "@sortByAssociatedKeys", true, n->args[0], meaning, NULL));
}

static void check_macro(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        int slot = (int)c->n_slots;

        n->slot = slot;
        c->n_slots += 2;
        if (n->macro >= MACRO_OPT_MAP) {
                known(c, n);
                check_opt_map(c, scope, n, slot, depth);
                return;
        }
        known(c, n)->meaning = cel_expand(c->arena, n);
        if (n->macro == MACRO_SORT_BY) {
                check_sort_by(c, scope, n, slot, depth);
                return;
        }
        check_loop(c, scope, n->known->meaning, slot, depth + 4);
        set(c, n, shape_of(n->known->meaning));
}

/* --- all together --- */

static void check_logic(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        bool ok = true;

        check_args(c, scope, n, depth);
        for (size_t i = 0; i < n->n; i++)
                ok &= want(c, n->args[i], simple(CEL_BOOL));
        set(c, n, simple(ok ? CEL_BOOL : CEL_ERROR));
}

static void check(struct checker *c, const struct scope *scope, struct node *n, int depth)
{
        set(c, n, simple(CEL_ERROR));
        if (depth > TREE_DEPTH_MAX) {
                if (!c->n_errors)
                        complain(c, n, "expression recursion limit exceeded: %d", TREE_DEPTH_MAX);
                return;
        }
        depth++;
        switch (n->kind) {
        case NODE_LITERAL:
                set(c, n, simple(n->value.type));
                break;
        case NODE_IDENT:
                check_ident(c, scope, n);
                break;
        case NODE_SELECT:
                check_select(c, scope, n, depth);
                break;
        case NODE_INDEX:
                check_args(c, scope, n, depth);
                resolve_call(c, n, n->optional ? "_[?_]" : "_[_]");
                break;
        case NODE_CALL:
                check_call(c, scope, n, depth);
                break;
        case NODE_LIST:
                check_list(c, scope, n, depth);
                break;
        case NODE_MAP:
                check_map(c, scope, n, depth);
                break;
        case NODE_MESSAGE:
                check_message(c, scope, n, depth);
                break;
        case NODE_AND:
        case NODE_OR:
                check_logic(c, scope, n, depth);
                break;
        case NODE_TERNARY:
                check_args(c, scope, n, depth);
                resolve_call(c, n, "_?_:_");
                break;
        case NODE_MACRO:
                check_macro(c, scope, n, depth);
                break;
        case NODE_LOOP:
                check_loop(c, scope, n, SLOT_NONE, depth);
                break;
        }
}

/* --- literals that functions cannot read --- */

static bool regex_compiles(struct arena *a, struct cel_string s)
{
        struct regexp *re;

        return regexp_cached(a, s.s, s.len, &re, NULL) == 0;
}

static const struct cel_shape *final_shape(struct checker *c, const struct node *n, bool optional)
{
        const struct cel_shape *s = shape_resolve(&c->types, shape_of(n), true);

        return optional && s->type == CEL_OPTIONAL ? s->of[0] : s;
}

/* Items from FIRST on, every STEPth, have to be of the type of the first; all that are not are told if ALL, else one. */
static void mixed(struct checker *c, const struct node *n, size_t first, size_t step, bool all)
{
        const struct cel_shape *wanted = NULL;

        for (size_t i = first; i < n->n; i += step) {
                const struct cel_shape *is = final_shape(c, n->args[i], (first == step - 1) && n->flags[i / step]);

                if (!wanted) {
                        wanted = is;
                } else if (!shape_same(wanted, is)) {
                        mismatch(c, n->args[i], wanted, is);
                        if (!all)
                                return;
                }
        }
}

/* --- format() with a literal text and a literal list --- */

static const struct clause {
        char letter;
        const char *types; /* "" and these may be formatted so, dyn too */
        const char *wrong;
} clauses[] = {
        { 's', "LMiudbsTyDKn",
          "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps" },
        { 'd', "iu", "decimal clause can only be used on integers" },
        { 'f', "ds", "fixed-point clause can only be used on doubles" },
        { 'e', "ds", "scientific clause can only be used on doubles" },
        { 'b', "iub", "only integers and bools can be formatted as binary" },
        { 'x', "iusy", "only integers, byte buffers, and strings can be formatted as hex" },
        { 'X', "iusy", "only integers, byte buffers, and strings can be formatted as hex" },
        { 'o', "iu", "octal clause can only be used on integers" },
};

static char type_letter(const struct cel_shape *s)
{
        static const char letters[] = { [CEL_NULL] = 'n', [CEL_BOOL] = 'b', [CEL_INT] = 'i', [CEL_UINT] = 'u', [CEL_DOUBLE] = 'd',
                                        [CEL_STRING] = 's', [CEL_BYTES] = 'y', [CEL_LIST] = 'L', [CEL_MAP] = 'M', [CEL_TYPE] = 'K',
                                        [CEL_TIMESTAMP] = 'T', [CEL_DURATION] = 'D' };

        return (size_t)s->type < sizeof(letters) ? letters[s->type] : '\0';
}

/* The first argument that CLAUSE cannot format, N or what a literal list or map holds; NULL: it can. */
static const struct node *unformatted(struct checker *c, const struct clause *clause, const struct node *n)
{
        const struct cel_shape *s = final_shape(c, n, false);
        char letter = type_letter(s);

        if (s->type != CEL_DYN && (!letter || !strchr(clause->types, letter)))
                return n;
        for (size_t i = 0; clause->letter == 's' && (n->kind == NODE_LIST || n->kind == NODE_MAP) && i < n->n; i++) {
                const struct node *bad = unformatted(c, clause, n->args[i]);

                if (bad)
                        return bad;
        }
        return NULL;
}

static const struct clause *clause_at(const char **at, const char *end)
{
        if (*at < end && **at == '.')
                for ((*at)++; *at < end && **at >= '0' && **at <= '9';)
                        (*at)++;
        for (size_t i = 0; *at < end && i < ARRAY_SIZE(clauses); i++)
                if (clauses[i].letter == **at)
                        return &clauses[i];
        return NULL;
}

static void validate_format(struct checker *c, const struct node *n)
{
        const struct node *list = n->args[1];
        const char *at = n->args[0]->value.str.s, *end = at + n->args[0]->value.str.len;
        size_t used = 0;

        for (; at < end; at++) {
                const struct clause *clause;
                const struct node *bad;

                if (*at != '%')
                        continue;
                if (++at < end && *at == '%')
                        continue;
                if (at >= end || used >= list->n) {
                        if (at >= end)
                                complain(c, n, "unexpected end of string");
                        else
                                complain(c, n, "index %zu out of range", used);
                        return;
                }
                clause = clause_at(&at, end);
                if (!clause) {
                        if (at >= end)
                                complain(c, n, "could not parse formatting clause: error while parsing precision: could not find end of "
                                               "precision specifier");
                        else
                                complain(c, n, "could not parse formatting clause: unrecognized formatting clause \"%c\"", *at);
                        return;
                }
                bad = unformatted(c, clause, list->args[used++]);
                if (bad) {
                        const struct cel_shape *s = final_shape(c, bad, false);

                        complain(c, bad, "error during formatting: %s, was given %s", clause->wrong,
                                 s->type == CEL_OBJECT ? s->name : cel_type_word(s->type));
                        return;
                }
        }
        if (list->n > used)
                complain(c, n, "too many arguments supplied to string.format (expected %zu, got %zu)", used, list->n);
}

/* EXEMPT: within the arguments of format(), whose list may hold anything. */
static void validate(struct checker *c, const struct node *n, bool exempt)
{
        size_t first = n->kind == NODE_CALL && n->member ? 1 : 0;

        if (n->kind == NODE_LIST && !exempt)
                mixed(c, n, 0, 1, false);
        if (n->kind == NODE_MAP && !exempt) {
                mixed(c, n, 0, 2, true);
                mixed(c, n, 1, 2, true);
        }
        exempt |= n->kind == NODE_CALL && streq(n->name, "format");
        for (size_t i = 0; i < n->n; i++)
                if (n->kind != NODE_MESSAGE || i % 2)
                        validate(c, n->args[i], exempt);
        if (n->kind == NODE_CALL && n->member && n->n == 2 && streq(n->name, "format") && n->args[0]->kind == NODE_LITERAL &&
            n->args[0]->value.type == CEL_STRING && n->args[1]->kind == NODE_LIST)
                validate_format(c, n);
        if (n->kind != NODE_CALL || n->n <= first || n->args[first]->kind != NODE_LITERAL)
                return;
        if (streq(n->name, "duration") || streq(n->name, "timestamp")) {
                struct cel_run run = { .arena = c->arena };
                struct eval e = { &run, NULL };

                if (n->function && n->function->call(&e, 1, &n->args[first]->value).type == CEL_ERROR)
                        complain(c, n->args[first], "invalid %s argument", n->name);
        } else if (streq(n->name, "matches") && n->args[first]->value.type == CEL_STRING &&
                   !regex_compiles(c->arena, n->args[first]->value.str)) {
                complain(c, n->args[first], "invalid matches argument");
        }
}

/* --- compiling --- */

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

/* Shapes of objects are the caller's and are shared; the rest is copied. */
static const struct cel_shape *kept_shape(struct arena *a, const struct cel_shape *s)
{
        struct cel_shape *out;

        if (s->type == CEL_OBJECT && !s->open)
                return s;
        if (!s->of[0] && s->type != CEL_OBJECT)
                return &cel_shapes[s->type];
        out = arena_memdup(a, s, sizeof(*s));
        for (size_t i = 0; i < 2; i++)
                if (s->of[i])
                        out->of[i] = kept_shape(a, s->of[i]);
        return out;
}

/* What the checker knows lives no longer than it. */
static void forget(struct node *n)
{
        n->known = NULL;
        for (size_t i = 0; i < n->n; i++)
                forget(n->args[i]);
}

int cel_compile_in(struct arena *a, const char *text, const struct cel_env *env, struct cel_program **ret, struct error *reterr)
{
        _cleanup_arena_ struct arena *scratch = NULL;
        struct cel_program *p = arena_calloc(a, sizeof(*p));
        struct checker *c;
        int r = cel_parse(a, text, &p->root, reterr);

        if (r < 0) {
                error_wrap(reterr, r, "compilation failed");
                return r;
        }
        scratch = arena_new(0);
        c = arena_calloc(scratch, sizeof(*c));
        c->arena = scratch;
        c->kept = a;
        c->text = text;
        c->env = env;
        bindings_init(&c->types, scratch);
        check(c, NULL, p->root, 0);
        if (!c->n_errors)
                validate(c, p->root, false);
        if (c->n_errors)
                return error_set(reterr, -EINVAL, "compilation failed: %s",
                                 cel_describe_errors(scratch, text, c->errors, c->n_errors));
        p->n_slots = c->n_slots;
        p->shape = kept_shape(a, shape_resolve(&c->types, shape_of(p->root), true));
        p->cost = env->estimate ? cel_estimate(scratch, p->root, env->estimate) : UINT64_MAX;
        forget(p->root);
        p->trouble = cel_find_constants(a, p->root);
        *ret = p;
        return 0;
}

int cel_compile(struct arena *a, const char *text, const char *const *variables, struct cel_program **ret,
                struct error *reterr)
{
        struct cel_variable *list;
        struct cel_env env = { .patches = true };
        size_t n = 0;

        while (variables[n])
                n++;
        env.variables = list = arena_calloc(a, (n + 1) * sizeof(*list));
        for (size_t i = 0; i < n; i++) {
                const char *dot = strchr(variables[i], '.'), *name = dot ? arena_strndup(a, variables[i], (size_t)(dot - variables[i]))
                                                                        : variables[i];
                struct cel_shape *s = NULL;
                struct cel_member *m;

                for (size_t k = 0; k < env.n; k++)
                        if (streq(list[k].name, name))
                                s = (struct cel_shape *)list[k].shape;
                if (!s) {
                        s = arena_memdup(a, &cel_shapes[CEL_DYN], sizeof(*s));
                        if (dot)
                                *s = (struct cel_shape){ CEL_OBJECT, .name = name, .weight = 1,
                                                         .members = arena_calloc(a, (n + 1) * sizeof(*s->members)) };
                        list[env.n++] = (struct cel_variable){ name, s };
                }
                if (!dot || !dot[1])
                        continue;
                m = (struct cel_member *)s->members + s->n_members++;
                *m = (struct cel_member){ dot + 1, dot + 1, &cel_shapes[CEL_DYN] };
        }
        return cel_compile_in(a, text, &env, ret, reterr);
}

const char *cel_program_trouble(const struct cel_program *p)
{
        return p->trouble;
}

enum cel_type cel_program_type(const struct cel_program *p)
{
        return p->shape->type;
}

const struct cel_shape *cel_program_shape(const struct cel_program *p)
{
        return p->shape;
}

uint64_t cel_program_cost(const struct cel_program *p)
{
        return p->cost;
}
