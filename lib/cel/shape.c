/* Types of expressions: written, compared, unified. */
#include "shape.h"

/* Types that grow by themselves (a map of maps of ...) become dyn beyond this many parts. */
enum { WEIGHT_MAX = 2000 };

#define SIMPLE(t) [t] = { .type = t, .weight = 1 }
const struct cel_shape cel_shapes[CEL_PARAM] = {
        SIMPLE(CEL_ERROR), SIMPLE(CEL_NULL), SIMPLE(CEL_BOOL), SIMPLE(CEL_INT), SIMPLE(CEL_UINT), SIMPLE(CEL_DOUBLE),
        SIMPLE(CEL_STRING), SIMPLE(CEL_BYTES), SIMPLE(CEL_TYPE), SIMPLE(CEL_TIMESTAMP), SIMPLE(CEL_DURATION),
        SIMPLE(CEL_QUANTITY), SIMPLE(CEL_IP), SIMPLE(CEL_CIDR), SIMPLE(CEL_URL), SIMPLE(CEL_SEMVER), SIMPLE(CEL_FORMAT),
        SIMPLE(CEL_DYN),
        [CEL_LIST] = { CEL_LIST, { &cel_shapes[CEL_DYN] }, .weight = 2 },
        [CEL_MAP] = { CEL_MAP, { &cel_shapes[CEL_DYN], &cel_shapes[CEL_DYN] }, .weight = 3 },
        [CEL_OPTIONAL] = { CEL_OPTIONAL, { &cel_shapes[CEL_DYN] }, .weight = 2 },
};

/* --- making them --- */

static struct cel_shape *shape_new(struct arena *a, enum cel_type type, const struct cel_shape *x, const struct cel_shape *y)
{
        struct cel_shape *s = arena_calloc(a, sizeof(*s));

        *s = (struct cel_shape){ .type = type, .of = { x, y }, .weight = 1 + (x ? x->weight : 0) + (y ? y->weight : 0) };
        if (s->weight > WEIGHT_MAX)
                *s = cel_shapes[CEL_DYN];
        return s;
}

struct cel_shape *cel_shape_list(struct arena *a, const struct cel_shape *item, uint64_t max)
{
        struct cel_shape *s = shape_new(a, CEL_LIST, item, NULL);

        s->max = max;
        return s;
}

struct cel_shape *cel_shape_map(struct arena *a, const struct cel_shape *key, const struct cel_shape *value, uint64_t max)
{
        struct cel_shape *s = shape_new(a, CEL_MAP, key, value);

        s->max = max;
        return s;
}

struct cel_shape *cel_shape_optional(struct arena *a, const struct cel_shape *of)
{
        return shape_new(a, CEL_OPTIONAL, of, NULL);
}

const struct cel_shape *shape_type_of(struct arena *a, const struct cel_shape *s)
{
        return shape_new(a, CEL_TYPE, s, NULL);
}

extern const struct cel_shape authorizer_shapes[];
static const struct cel_member authorizer_members[] = { { "requestResource", "requestResource", &authorizer_shapes[3] } };
const struct cel_shape authorizer_shapes[] = {
        { CEL_OBJECT, .name = "kubernetes.authorization.Authorizer", .weight = 1, .members = authorizer_members, .n_members = 1 },
        { CEL_OBJECT, .name = "kubernetes.authorization.PathCheck", .weight = 1 },
        { CEL_OBJECT, .name = "kubernetes.authorization.GroupCheck", .weight = 1 },
        { CEL_OBJECT, .name = "kubernetes.authorization.ResourceCheck", .weight = 1 },
        { CEL_OBJECT, .name = "kubernetes.authorization.Decision", .weight = 1 },
};

const struct cel_shape *cel_authorizer_shape(void)
{
        return authorizer_shapes;
}

const struct cel_shape *shape_read(struct arena *a, const char **text, const struct cel_shape *const params[2])
{
        static const struct {
                char letter;
                enum cel_type type;
        } simple[] = { { 'b', CEL_BOOL },   { 'i', CEL_INT },       { 'u', CEL_UINT },     { 'd', CEL_DOUBLE },   { 's', CEL_STRING },
                       { 'y', CEL_BYTES },  { 'T', CEL_TIMESTAMP }, { 'D', CEL_DURATION }, { '?', CEL_DYN },      { 'Q', CEL_QUANTITY },
                       { 'I', CEL_IP },     { 'C', CEL_CIDR },      { 'U', CEL_URL },      { 'V', CEL_SEMVER },   { 'F', CEL_FORMAT } };
        static const struct {
                char letter;
                enum cel_type type;
                int parts;
        } compound[] = { { 'L', CEL_LIST, 1 }, { 'M', CEL_MAP, 2 }, { 'O', CEL_OPTIONAL, 1 }, { 'K', CEL_TYPE, 1 } };
        char c = *(*text)++;

        if (c == 'A' || c == 'B')
                return params[c - 'A'];
        if (c >= '1' && c <= '5')
                return &authorizer_shapes[c - '1'];
        for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
                if (simple[i].letter == c)
                        return &cel_shapes[simple[i].type];
        for (size_t i = 0; i < ARRAY_SIZE(compound); i++)
                if (compound[i].letter == c) {
                        const struct cel_shape *x = shape_read(a, text, params);

                        return shape_new(a, compound[i].type, x, compound[i].parts > 1 ? shape_read(a, text, params) : NULL);
                }
        return &cel_shapes[CEL_DYN];
}

/* --- showing them --- */

static void write_shape(struct strbuf *b, const struct cel_shape *s, bool full)
{
        const char *name = s->type == CEL_OBJECT              ? s->name
                           : s->type == CEL_DYN               ? "dyn"
                           : full                             ? cel_type_word(s->type)
                           : s->type == CEL_ERROR             ? "!error!"
                           : s->type == CEL_NULL              ? "null"
                           : s->type == CEL_TIMESTAMP         ? "timestamp"
                           : s->type == CEL_DURATION          ? "duration"
                                                              : cel_type_word(s->type);

        if (s->type == CEL_PARAM) {
                strbuf_printf(b, s->param < 2 ? "%c" : "_var%u", s->param < 2 ? 'A' + s->param : s->param - 2);
                return;
        }
        strbuf_puts(b, name);
        if (s->of[0]) {
                strbuf_putc(b, '(');
                write_shape(b, s->of[0], full);
                if (s->of[1]) {
                        strbuf_puts(b, ", ");
                        write_shape(b, s->of[1], full);
                }
                strbuf_putc(b, ')');
        }
}

const char *cel_shape_text(struct arena *a, const struct cel_shape *s, bool full)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        write_shape(&b, s, full);
        return arena_strdup(a, strbuf_str(&b));
}

/* --- comparing them --- */

bool shape_same(const struct cel_shape *x, const struct cel_shape *y)
{
        if (x == y)
                return true;
        if (x->type != y->type || !x->of[0] != !y->of[0] || !x->of[1] != !y->of[1])
                return false;
        if (x->type == CEL_OBJECT)
                return !x->members && !y->members && x->open == y->open && streq(x->name, y->name);
        if (x->type == CEL_PARAM)
                return x->param == y->param;
        return (!x->of[0] || shape_same(x->of[0], y->of[0])) && (!x->of[1] || shape_same(x->of[1], y->of[1]));
}

static bool same_or_wider(const struct cel_shape *x, const struct cel_shape *y)
{
        if (x->type == CEL_DYN || x->type == CEL_PARAM)
                return true;
        if (y->type == CEL_DYN || y->type == CEL_PARAM || x->type != y->type)
                return false;
        switch (x->type) {
        case CEL_TYPE:
                return true;
        case CEL_LIST:
        case CEL_OPTIONAL:
                return same_or_wider(x->of[0], y->of[0]);
        case CEL_MAP:
                return same_or_wider(x->of[0], y->of[0]) && same_or_wider(x->of[1], y->of[1]);
        default:
                return shape_same(x, y);
        }
}

const struct cel_shape *shape_wider(const struct cel_shape *x, const struct cel_shape *y)
{
        return same_or_wider(x, y) ? x : y;
}

/* --- type parameters --- */

void bindings_init(struct bindings *b, struct arena *a)
{
        *b = (struct bindings){ .arena = a };
        bindings_new(b);
        bindings_new(b);
}

static void *grown(struct arena *a, void *list, size_t n, size_t *cap, size_t size)
{
        void *more;

        if (n < *cap)
                return list;
        *cap = MAX(*cap * 2, (size_t)16);
        more = arena_alloc(a, *cap * size);
        if (n)
                memcpy(more, list, n * size);
        return more;
}

const struct cel_shape *bindings_new(struct bindings *b)
{
        struct cel_shape *s = shape_new(b->arena, CEL_PARAM, NULL, NULL);

        b->of = grown(b->arena, b->of, b->n, &b->cap, sizeof(*b->of));
        s->param = (uint32_t)b->n;
        b->of[b->n++] = NULL;
        return s;
}

static const struct cel_shape *bound(const struct bindings *b, const struct cel_shape *s)
{
        return s->type == CEL_PARAM ? b->of[s->param] : NULL;
}

static void bind(struct bindings *b, uint32_t param, const struct cel_shape *to)
{
        b->log = grown(b->arena, b->log, b->logged, &b->log_cap, sizeof(*b->log));
        b->log[b->logged++] = (struct undo){ param, b->of[param] };
        b->of[param] = to;
}

/* A parameter cannot stand for what it is a part of. */
static bool occurs(const struct bindings *b, const struct cel_shape *param, const struct cel_shape *in)
{
        if (shape_same(param, in))
                return true;
        if (in->type == CEL_PARAM)
                return bound(b, in) && occurs(b, param, bound(b, in));
        return (in->of[0] && occurs(b, param, in->of[0])) || (in->of[1] && occurs(b, param, in->of[1]));
}

static bool fits(struct bindings *b, const struct cel_shape *x, const struct cel_shape *y);

/* Whether PARAM can stand for S; *ret_bound: it stands for something already. */
static bool can_stand(struct bindings *b, const struct cel_shape *s, const struct cel_shape *param, bool *ret_bound)
{
        const struct cel_shape *now = bound(b, param), *wider;

        *ret_bound = true;
        if (s->type == CEL_PARAM && s->param == param->param)
                return true;
        if (now) {
                if (s->type == now->type && shape_same(s, now))
                        return true;
                if (!fits(b, s, now))
                        return false;
                wider = shape_wider(s, now);
                if (!occurs(b, param, wider))
                        bind(b, param->param, wider);
                return true;
        }
        *ret_bound = false;
        if (occurs(b, param, s))
                return false;
        bind(b, param->param, s);
        return true;
}

static bool loose(const struct cel_shape *s)
{
        return s->type == CEL_DYN || s->type == CEL_ERROR;
}

static bool takes_null(const struct cel_shape *s)
{
        switch (s->type) {
        case CEL_BOOL:
        case CEL_INT:
        case CEL_UINT:
        case CEL_DOUBLE:
        case CEL_STRING:
        case CEL_BYTES:
        case CEL_LIST:
        case CEL_MAP:
        case CEL_TYPE:
                return false;
        default:
                return true;
        }
}

static bool fits(struct bindings *b, const struct cel_shape *x, const struct cel_shape *y)
{
        bool known;

        if (y->type == CEL_PARAM) {
                if (can_stand(b, x, y, &known))
                        return true;
                if (known)
                        return false;
        }
        if (x->type == CEL_PARAM)
                return can_stand(b, y, x, &known);
        if (loose(x) || loose(y))
                return true;
        if (x->type == CEL_NULL || y->type == CEL_NULL)
                return takes_null(x->type == CEL_NULL ? y : x);
        if (x->type != y->type)
                return false;
        switch (x->type) {
        case CEL_TYPE:
                return true;
        case CEL_LIST:
        case CEL_OPTIONAL:
                return fits(b, x->of[0], y->of[0]);
        case CEL_MAP:
                return fits(b, x->of[0], y->of[0]) && fits(b, x->of[1], y->of[1]);
        default:
                return shape_same(x, y);
        }
}

bool shape_fits_all(struct bindings *b, size_t n, const struct cel_shape *const *x, const struct cel_shape *const *y)
{
        size_t start = b->logged;

        for (size_t i = 0; i < n; i++) {
                if (fits(b, x[i], y[i]))
                        continue;
                while (b->logged > start) {
                        b->logged--;
                        b->of[b->log[b->logged].param] = b->log[b->logged].was;
                }
                return false;
        }
        return true;
}

bool shape_fits(struct bindings *b, const struct cel_shape *x, const struct cel_shape *y)
{
        return shape_fits_all(b, 1, &x, &y);
}

const struct cel_shape *shape_resolve(struct bindings *b, const struct cel_shape *s, bool to_dyn)
{
        const struct cel_shape *x, *y;
        struct cel_shape *out;

        while (bound(b, s))
                s = bound(b, s);
        if (s->type == CEL_PARAM)
                return to_dyn ? &cel_shapes[CEL_DYN] : s;
        if (!s->of[0] || s->weight > WEIGHT_MAX)
                return s;
        x = shape_resolve(b, s->of[0], to_dyn);
        y = s->of[1] ? shape_resolve(b, s->of[1], to_dyn) : NULL;
        if (x == s->of[0] && y == s->of[1])
                return s;
        out = shape_new(b->arena, s->type, x, y);
        out->max = s->max;
        return out;
}
