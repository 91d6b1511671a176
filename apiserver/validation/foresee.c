/* Which rules have nothing to say where a field is absent (engine.h).
 *
 * A pod leaves out nine of ten fields that its rules know. Most rules are silent then: a range holds for zero, a name
 * that is not there is not looked at. Which are depends only on the rules and the type, so it is found out once, when
 * a table of rules meets a type for the first time, and remembered for as long as the process runs: the tables and the
 * types of built-in kinds are constants. Simple checks are just tried on nothing.
 */
#include "engine.h"

#define PLANS 4096 /* some 600 are ever made */
#define MAX_DEPTH 8

static const struct json nothing = { .type = JSON_OBJECT };

enum answer { NO, YES, UNKNOWN };

static bool only_fields(const struct step *path)
{
        while (path->kind == STEP_FIELD)
                path++;
        return path->kind == STEP_END;
}

/* Whether K holds at AT, which is absent, whatever the rest of the object. */
static enum answer foresee(struct check *c, const struct cond *k, const struct at *at)
{
        enum answer x, y;

        switch (k->op) {
        case COND_TRUE:
                return YES;
        case COND_CREATE:
        case COND_FN:
        case COND_AMONG:
                return UNKNOWN;
        case COND_NOT:
                x = foresee(c, k->x, at);
                return x == UNKNOWN ? UNKNOWN : x == YES ? NO : YES;
        case COND_AND:
        case COND_OR:
                x = foresee(c, k->x, at);
                y = foresee(c, k->y, at);
                if (k->op == COND_AND)
                        return x == NO || y == NO ? NO : x == YES && y == YES ? YES : UNKNOWN;
                return x == YES || y == YES ? YES : x == NO && y == NO ? NO : UNKNOWN;
        default:
                if (!only_fields(k->path) || (k->other && !only_fields(k->other)))
                        return UNKNOWN;
                return cond_holds(c, k, at) ? YES : NO;
        }
}

static bool rules_silent(struct check *c, const struct rule *rules, const struct at *at, unsigned depth);

/* As descend(): AT is absent, so there are no items and no entries. */
static bool path_silent(struct check *c, const struct step *path, const struct rule *body, const struct at *at, unsigned depth)
{
        struct at next;

        switch (path->kind) {
        case STEP_END:
                return rules_silent(c, body, at, depth + 1);
        case STEP_FIELD:
                if (json_is_null(at->j))
                        return true;
                at_step(&next, at, path->name, path->len, path->tag);
                return path_silent(c, path + 1, body, &next, depth + 1);
        case STEP_ITEMS:
        case STEP_ENTRIES:
                return true;
        default:
                return false;
        }
}

static bool check_silent(struct check *c, const struct rule *r, const struct at *at, unsigned depth)
{
        bool no_struct = json_is_null(at->j) && at->s && at->s->type == SCHEMA_STRUCT;
        struct rule always = *r;

        if (r->cond && foresee(c, r->cond, at) == NO)
                return true;
        always.cond = NULL;
        switch (r->op) {
        case RULE_CALL:
                return no_struct;
        case RULE_USE:
                return no_struct || rules_silent(c, r->use->rules, at, depth + 1);
        case RULE_REQUIRED:
        case RULE_NAME:
        case RULE_RANGE:
        case RULE_ENUM:
        case RULE_IMMUTABLE:
        case RULE_QUANTITY:
        case RULE_MAX_ITEMS:
        case RULE_MAX_BYTES:
        case RULE_ONCE:
                return rule_check(c, &always, at);
        default:
                return false;
        }
}

static bool rules_silent(struct check *c, const struct rule *rules, const struct at *at, unsigned depth)
{
        if (depth > MAX_DEPTH)
                return false;
        for (const struct rule *r = rules; r && r->op != RULE_END; r++) {
                enum answer then = r->op == RULE_IF ? foresee(c, r->cond, at) : UNKNOWN;

                if (r->op == RULE_BLOCK ? !path_silent(c, r->path, r->body, at, depth) :
                    r->op == RULE_IF    ? (then != NO && !rules_silent(c, r->body, at, depth + 1)) ||
                                            (then != YES && !rules_silent(c, r->other, at, depth + 1)) :
                                          !check_silent(c, r, at, depth))
                        return false;
        }
        return true;
}

/* The field that all of K begins at; NULL: there is no such one. */
static const struct schema_field *asks_for(const struct cond *k, const struct schema *s)
{
        const struct schema_field *f;

        switch (k->op) {
        case COND_NOT:
                return asks_for(k->x, s);
        case COND_AND:
        case COND_OR:
                f = asks_for(k->x, s);
                return f == asks_for(k->y, s) ? f : NULL;
        case COND_TRUE:
        case COND_CREATE:
        case COND_FN:
        case COND_AMONG:
                return NULL;
        default:
                if (k->other || !only_fields(k->path) || k->path->kind != STEP_FIELD)
                        return NULL;
                return schema_find(s, k->path->name, k->path->len, k->path->tag);
        }
}

/* A field without which K does not hold. */
static const struct schema_field *needs(struct check *c, const struct cond *k, const struct at *at)
{
        const struct schema_field *f;

        if (k->op == COND_AND) {
                f = needs(c, k->x, at);
                return f ? f : needs(c, k->y, at);
        }
        f = asks_for(k, at->s);
        return f && foresee(c, k, at) == NO ? f : NULL;
}

/* AT is an object of the type that has no field at all. */
static struct prospect look_ahead(struct check *c, const struct rule *r, const struct at *at)
{
        const struct schema_field *f = NULL;
        struct at absent;

        if (r->op == RULE_IF && !r->other)
                f = needs(c, r->cond, at);
        if (r->op != RULE_BLOCK || r->path->kind != STEP_FIELD)
                return (struct prospect){ .field = f, .silent = f };
        f = schema_find(at->s, r->path->name, r->path->len, r->path->tag);
        if (!f)
                return (struct prospect){ NULL };
        at_step(&absent, at, f->name, f->len, f->tag);
        return (struct prospect){ .field = f, .silent = path_silent(c, r->path + 1, r->body, &absent, 0) };
}

static struct prospect *plan(const struct rule *rules, const struct schema *s)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct field_errors errs = { .arena = a };
        struct at at = { .j = &nothing, .s = s, .kind = AT_ROOT };
        struct check c = { .a = a, .errs = &errs, .obj = &nothing, .old = &nothing, .sub = "", .root = &at, .prefix = "" };
        struct prospect *prospects;
        size_t n = 0;

        while (rules[n].op != RULE_END)
                n++;
        prospects = xcalloc(n + 1, sizeof(*prospects));
        for (size_t i = 0; i < n; i++) {
                prospects[i] = look_ahead(&c, &rules[i], &at);
                if (prospects[i].silent)
                        prospects[i].bit = json_tag_bit(prospects[i].field->tag);
        }
        return prospects;
}

const struct prospect *foresight(const struct rule *rules, const struct schema *s)
{
        static struct {
                const struct rule *rules;
                const struct schema *s;
                const struct prospect *prospects;
        } plans[PLANS];
        static unsigned n;
        uint32_t i;

        if (!rules || !s || s->type != SCHEMA_STRUCT || s->crd)
                return NULL;
        i = ((uint32_t)((uintptr_t)rules >> 3) ^ (uint32_t)((uintptr_t)s >> 4)) * UINT32_C(0x9e3779b1) >> 20;
        for (; plans[i].rules; i = (i + 1) % PLANS)
                if (plans[i].rules == rules && plans[i].s == s)
                        return plans[i].prospects;
        if (n >= PLANS / 2)
                return NULL;
        n++;
        plans[i].rules = rules;
        plans[i].s = s;
        plans[i].prospects = plan(rules, s);
        return plans[i].prospects;
}
