/* What macros are short for: a loop with a result that is carried along, as cel-spec defines them. Types and costs are
 * found on these trees; what is evaluated is the macro itself (eval.c), which comes to the same and is quicker. */
#include <string.h>

#include "ast.h"

struct expander {
        struct arena *arena;
        uint32_t pos; /* all new nodes point to the macro */
};

static struct node *new_node(struct expander *x, enum node_kind kind, size_t n)
{
        struct node *out = arena_calloc(x->arena, sizeof(*out));

        *out = (struct node){ .kind = kind, .pos = x->pos, .slot = SLOT_NONE, .n = n };
        out->args = arena_calloc(x->arena, (n + 1) * sizeof(*out->args));
        out->flags = arena_calloc(x->arena, n + 1);
        return out;
}

static struct node *value(struct expander *x, struct cel_value v)
{
        struct node *n = new_node(x, NODE_LITERAL, 0);

        n->value = v;
        return n;
}

static struct node *name(struct expander *x, const char *s)
{
        struct node *n = new_node(x, NODE_IDENT, 0);

        n->name = s;
        return n;
}

static struct node *list(struct expander *x, struct node *item)
{
        struct node *n = new_node(x, NODE_LIST, item != NULL);

        n->args[0] = item;
        return n;
}

static struct node *joined(struct expander *x, enum node_kind kind, const char *function, struct node *a, struct node *b,
                           struct node *c)
{
        struct node *n = new_node(x, kind, c ? 3 : b ? 2 : 1);

        n->name = function;
        n->args[0] = a;
        if (b)
                n->args[1] = b;
        if (c)
                n->args[2] = c;
        return n;
}

/* CONDITION ? YES : so far */
static struct node *only_if(struct expander *x, struct node *condition, struct node *yes)
{
        return condition ? joined(x, NODE_TERNARY, "_?_:_", condition, yes, name(x, SO_FAR)) : yes;
}

struct node *cel_expand(struct arena *a, const struct node *m)
{
        struct expander x = { a, m->pos };
        struct node *body = m->args[1], *filter = m->n > 2 ? m->args[2] : NULL, *first, *going, *step, *result = name(&x, SO_FAR),
                    *out;

        going = value(&x, cel_bool(true));
        switch (m->macro) {
        case MACRO_ALL:
                first = value(&x, cel_bool(true));
                going = joined(&x, NODE_CALL, "@not_strictly_false", name(&x, SO_FAR), NULL, NULL);
                step = joined(&x, NODE_AND, NULL, name(&x, SO_FAR), body, NULL);
                break;
        case MACRO_EXISTS:
                first = value(&x, cel_bool(false));
                going = joined(&x, NODE_CALL, "@not_strictly_false", joined(&x, NODE_CALL, "!_", name(&x, SO_FAR), NULL, NULL), NULL,
                               NULL);
                step = joined(&x, NODE_OR, NULL, name(&x, SO_FAR), body, NULL);
                break;
        case MACRO_EXISTS_ONE:
                first = value(&x, cel_int(0));
                step = only_if(&x, body, joined(&x, NODE_CALL, "_+_", name(&x, SO_FAR), value(&x, cel_int(1)), NULL));
                result = joined(&x, NODE_CALL, "_==_", result, value(&x, cel_int(1)), NULL);
                break;
        case MACRO_FILTER:
                first = list(&x, NULL);
                step = only_if(&x, body, joined(&x, NODE_CALL, "_+_", name(&x, SO_FAR), list(&x, name(&x, m->vars[0])), NULL));
                break;
        case MACRO_MAP:
        case MACRO_TRANSFORM_LIST:
        case MACRO_SORT_BY:
                first = list(&x, NULL);
                step = only_if(&x, filter, joined(&x, NODE_CALL, "_+_", name(&x, SO_FAR), list(&x, body), NULL));
                break;
        case MACRO_TRANSFORM_MAP:
                first = new_node(&x, NODE_MAP, 0);
                step = only_if(&x, filter, joined(&x, NODE_CALL, "cel.@mapInsert", name(&x, SO_FAR), name(&x, m->vars[0]), body));
                break;
        default:
                first = new_node(&x, NODE_MAP, 0);
                step = only_if(&x, filter, joined(&x, NODE_CALL, "cel.@mapInsert", name(&x, SO_FAR), body, NULL));
                break;
        }
        out = new_node(&x, NODE_LOOP, 5);
        out->args[LOOP_RANGE] = m->macro == MACRO_SORT_BY ? name(&x, SORTED) : m->args[0];
        out->args[LOOP_FIRST] = first;
        out->args[LOOP_GOING] = going;
        out->args[LOOP_STEP] = step;
        out->args[LOOP_RESULT] = result;
        memcpy(out->vars, m->vars, sizeof(out->vars));
        return out;
}
