/* What rules about priority classes, leases and roles cannot say. */
#include "metadata.h"

#include "functions.h"

/* Names of the system's own are for its two classes, as they are. */
void check_system_priority(struct check *c, const struct at *at)
{
        static const struct {
                const char *name;
                int64_t value;
        } known[] = { { "system-node-critical", 2000001000 }, { "system-cluster-critical", 2000000000 } };
        const char *name = text_at(at), *error = NULL;

        if (!str_has_prefix(name, "system-"))
                return;
        error = arena_printf(c->a, "%s is not a known system priority class", name);
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (!streq(known[i].name, name))
                        continue;
                error = NULL;
                if (json_get_int(c->obj, "value", 0) != known[i].value)
                        error = arena_printf(c->a, "value of %s PriorityClass must be %lld", name, (long long)known[i].value);
                else if (json_get_bool(c->obj, "globalDefault", false))
                        error = arena_printf(c->a, "globalDefault of %s PriorityClass must be false", name);
        }
        if (error)
                check_forbidden(c, at, "priority class names with 'system-' prefix are reserved for system use only. error: %s", error);
}

/* A word of ours, or one with a domain before it. */
void check_lease_strategy(struct check *c, const struct at *at)
{
        static const char *const words[] = { "OldestEmulationVersion", NULL };
        const struct at *named = at_field(c, at, "strategy"); /* upstream says it twice */
        const char *messages[NAME_MESSAGES];
        unsigned n;

        if (!at_set(at))
                return;
        if (!strchr(text_at(at), '/')) {
                if (!streq(text_at(at), words[0]))
                        field_error_not_supported(c->errs, at_path(c, named), at->j, words);
                return;
        }
        n = name_check(c->a, NAME_QUALIFIED, text_at(at), messages);
        for (unsigned i = 0; i < n; i++)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, named), at->j, "%s", messages[i]);
}

/* A selector that says something wrong is, besides, no selector. */
void check_role_selector(struct check *c, const struct at *at)
{
        size_t before = c->errs->n;

        check_selector(c, at);
        if (c->errs->n > before)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), NULL, "invalid label selector.");
}
