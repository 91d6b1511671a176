/* What rules about access, storage and fairness cannot say. */
#include "metadata.h"

#include <ctype.h>

#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "resources.h"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

static bool has_star(const struct at *list)
{
        json_foreach_item(list->j, item)
                if (streq(json_string(item), "*"))
                        return true;
        return false;
}

/* --- priorities, leases, runtimes --- */

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

/* --- storage --- */

void check_driver_name(struct check *c, const struct at *at, const char *s)
{
        char *lower = arena_strdup(c->a, s);
        const char *messages[NAME_MESSAGES];
        unsigned n;

        if (!*lower) {
                check_required(c, at, NULL);
                return;
        }
        if (strlen(lower) > 63)
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), NULL, "may not be more than 63 bytes");
        for (char *p = lower; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        n = name_check(c->a, NAME_DNS1123_SUBDOMAIN, lower, messages);
        for (unsigned i = 0; i < n; i++)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, s), "%s", messages[i]);
}

void check_csi_driver_name(struct check *c, const struct at *at)
{
        check_driver_name(c, at, text_at(at));
}

void check_lifecycle_mode(struct check *c, const struct at *at)
{
        static const char *const modes[] = { "Persistent", "Ephemeral", NULL };

        if (!streq(text_at(at), modes[0]) && !streq(text_at(at), modes[1]))
                field_error_not_supported(c->errs, at_path(c, at->up), at->j, modes);
}

/* A driver's entry comes and goes; but for how many volumes it takes, it does not change. */
void check_drivers_unchanged(struct check *c, const struct at *list)
{
        json_foreach_item(json_path(c->old, "spec.drivers"), was)
                for (size_t i = 0; i < json_len(list->j); i++) {
                        struct at is = *at_item(c, list, i);
                        struct json *old = json_clone(c->a, was), *new = json_clone(c->a, is.j);

                        json_del(old, "allocatable");
                        json_del(new, "allocatable");
                        is.j = new;
                        if (streq(json_get_string(old, "name"), json_get_string(new, "name")) && !json_equal(old, new))
                                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, list), go_struct(c, &is), ERR_IMMUTABLE);
                }
}

void check_attachment_metadata(struct check *c, const struct at *at)
{
        size_t total = 0;

        json_foreach_member(at->j, m)
                total += m->key_len + (json_is_string(m->value) ? m->value->len : 0);
        if (total > 256 * 1024)
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), NULL, "may not be more than 262144 bytes");
}

static void check_topology_term(struct check *c, const struct at *term)
{
        const struct at *list = at_field(c, term, "matchLabelExpressions");

        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *e = at_item(c, list, i), *values = at_field(c, e, "values"), *key = at_field(c, e, "key");

                if (!json_len(values->j))
                        check_required(c, values, NULL);
                for (size_t k = 1; k < json_len(values->j); k++)
                        for (size_t m = 0; m < k; m++)
                                if (json_equal(json_at(values->j, k), json_at(values->j, m))) {
                                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at_item(c, values, k)),
                                                        json_at(values->j, k), NULL);
                                        break;
                                }
                check_name(c, key, NAME_QUALIFIED);
                for (size_t k = 0; k < i; k++)
                        if (streq(json_get_string(json_at(list->j, k), "key") ?: "", text_at(key))) {
                                field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, key), key->j, NULL);
                                break;
                        }
        }
}

/* The last requirement of KEY: a later one takes an earlier one's place. */
static const struct json *topology_values(const struct json *term, const char *key)
{
        const struct json *found = NULL;

        json_foreach_item(json_get(term, "matchLabelExpressions"), e)
                if (streq(json_get_string(e, "key") ?: "", key))
                        found = e;
        return json_get(found, "values");
}

static bool among(const struct json *list, const struct json *value)
{
        json_foreach_item(list, v)
                if (json_equal(v, value))
                        return true;
        return false;
}

/* All that A asks for B asks for too: keys and values are sets. */
static bool topology_within(const struct json *a, const struct json *b)
{
        json_foreach_item(json_get(a, "matchLabelExpressions"), e) {
                const char *key = json_get_string(e, "key") ?: "";
                const struct json *others = topology_values(b, key);
                bool there = false;

                json_foreach_item(json_get(b, "matchLabelExpressions"), o)
                        there = there || streq(json_get_string(o, "key") ?: "", key);
                if (!there)
                        return false;
                json_foreach_item(topology_values(a, key), v)
                        if (!among(others, v))
                                return false;
        }
        return true;
}

void check_allowed_topologies(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *term = at_item(c, list, i);

                check_topology_term(c, term);
                for (size_t k = 0; k < i; k++)
                        if (topology_within(json_at(list->j, k), term->j) && topology_within(term->j, json_at(list->j, k)))
                                field_error_add_text(c->errs, FIELD_DUPLICATE,
                                                     at_path(c, at_field(c, term, "matchLabelExpressions")), "\"\"", NULL);
        }
}

/* --- fairness --- */

static const char *const verbs[] = { "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch", NULL };

void check_flow_verbs(struct check *c, const struct at *list)
{
        if (!json_len(list->j)) {
                check_required(c, list, "verbs must contain at least one value");
        } else if (has_star(list)) {
                if (json_len(list->j) > 1)
                        check_invalid(c, list, "if '*' is present, must not specify other verbs");
        } else {
                json_foreach_item(list->j, verb) {
                        const char *const *v = verbs;

                        while (*v && !streq(*v, json_string(verb)))
                                v++;
                        if (!*v) {
                                field_error_not_supported(c->errs, at_path(c, list), list->j, verbs);
                                return;
                        }
                }
        }
}

void check_flow_namespaces(struct check *c, const struct at *list)
{
        if (!json_len(list->j) && !json_get_bool(list->up->j, "clusterScope", false)) {
                check_required(c, list, "resource rules that are not cluster scoped must supply at least one namespace");
        } else if (has_star(list)) {
                if (json_len(list->j) > 1)
                        check_invalid(c, list, "if '*' is present, must not specify other namespaces");
        } else {
                for (size_t i = 0; i < json_len(list->j); i++) {
                        const struct at *it = at_item(c, list, i);
                        const char *messages[NAME_MESSAGES];
                        unsigned n = name_check(c->a, NAME_DNS1123_LABEL, text_at(it), messages);

                        for (unsigned k = 0; k < n; k++)
                                check_invalid(c, it, "each member of this list must be '*' or a DNS-1123 label; %s", messages[k]);
                }
        }
}

/* Upstream shows all of the method, not its type. */
void check_flow_method(struct check *c, const struct at *at)
{
        const char *type = json_get_string(at->j, "type") ?: "";

        if (at_set(at) && !streq(type, "ByNamespace") && !streq(type, "ByUser"))
                field_error_add_text(c->errs, FIELD_NOT_SUPPORTED, at_path(c, at_field(c, at, "type")), go_struct(c, at),
                                     "supported values: \"ByNamespace\", \"ByUser\"");
}

/* --- what every server has, as it is --- */

static const char everything[] = "[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"clusterScope\":true,\"namespaces\":[\"*\"]}]";
static const char every_url[] = "[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]";

static const char *fixed_flow(struct arena *a, const char *name)
{
        if (streq(name, "exempt"))
                return arena_printf(a, "{\"priorityLevelConfiguration\":{\"name\":\"exempt\"},\"matchingPrecedence\":1,\"rules\":[{"
                                       "\"subjects\":[{\"kind\":\"Group\",\"group\":{\"name\":\"system:masters\"}}],"
                                       "\"resourceRules\":%s,\"nonResourceRules\":%s}]}", everything, every_url);
        if (streq(name, "catch-all"))
                return arena_printf(a, "{\"priorityLevelConfiguration\":{\"name\":\"catch-all\"},\"matchingPrecedence\":10000,"
                                       "\"distinguisherMethod\":{\"type\":\"ByUser\"},\"rules\":[{"
                                       "\"subjects\":[{\"kind\":\"Group\",\"group\":{\"name\":\"system:unauthenticated\"}},"
                                       "{\"kind\":\"Group\",\"group\":{\"name\":\"system:authenticated\"}}],"
                                       "\"resourceRules\":%s,\"nonResourceRules\":%s}]}", everything, every_url);
        return NULL;
}

static const char *fixed_level(const char *name)
{
        return streq(name, "exempt")      ? "{\"type\":\"Exempt\"}"
               : streq(name, "catch-all") ? "{\"type\":\"Limited\",\"limited\":{\"nominalConcurrencyShares\":5,\"lendablePercent\":0,"
                                            "\"limitResponse\":{\"type\":\"Reject\"}}}"
                                          : NULL;
}

/* Whether SPEC says what TEXT does, the field IGNORED aside. */
static bool says(struct arena *a, const struct json *spec, const char *text, const char *ignored)
{
        struct json *fixed = NULL, *rest = json_clone_shallow(a, spec);

        if (ignored)
                json_del(rest, ignored);
        json_parse(a, text, strlen(text), NULL, &fixed, NULL);
        return json_equal(rest, fixed);
}

void check_fixed_flow(struct check *c, const struct at *spec)
{
        const char *name = json_path_string(c->obj, "metadata.name"), *text = fixed_flow(c->a, name);

        if (text && !says(c->a, spec->j, text, NULL))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, spec), go_struct(c, spec),
                                     "spec of '%s' must equal the fixed value", name);
}

/* Of the level that nothing limits, how much it lends may change. */
void check_fixed_level(struct check *c, const struct at *spec)
{
        const char *name = json_path_string(c->obj, "metadata.name"), *text = fixed_level(name);
        bool exempt = streq(name, "exempt");

        if (text && !says(c->a, spec->j, text, exempt ? "exempt" : NULL))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, spec), go_struct(c, spec),
                                     "spec of '%s'%s must equal the fixed value", name, exempt ? " except the 'spec.exempt' field" : "");
}

static const char *path_fault(const char *s)
{
        const char *star = strchr(s, '*');
        size_t n = strlen(s);

        if (!n)
                return "must not be empty";
        if (streq(s, "/"))
                return NULL;
        if (*s != '/')
                return "must start with slash";
        if (strchr(s, ' '))
                return "must not contain white-space";
        if (strstr(s, "//"))
                return "must not contain double slash";
        if (star && (star[1] || n < 2 || s[n - 2] != '/'))
                return "wildcard can only do suffix matching";
        return NULL;
}

void check_flow_urls(struct check *c, const struct at *list)
{
        if (!json_len(list->j)) {
                check_required(c, list, "nonResourceURLs must contain at least one value");
        } else if (has_star(list)) {
                if (json_len(list->j) > 1)
                        check_invalid(c, list, "if '*' is present, must not specify other non-resource URLs");
        } else {
                for (size_t i = 0; i < json_len(list->j); i++) {
                        const struct at *it = at_item(c, list, i);
                        const char *fault = path_fault(text_at(it));

                        if (fault)
                                check_invalid(c, it, "%s", fault);
                }
        }
}

/* Shuffle sharding deals so many queues from so many: the hash must have bits for it, 60 at most. Counted
 * without a logarithm: libm would be half a megabyte for this one. */
static bool too_many_bits(int64_t queues, int64_t hand)
{
        __int128 deals = 1;

        if (queues < 2)
                return false;
        while (hand-- > 0 && deals <= (int64_t)1 << 60)
                deals *= queues;
        return deals > (int64_t)1 << 60;
}

void check_queuing(struct check *c, const struct at *at)
{
        const struct at *queues = at_field(c, at, "queues"), *hand = at_field(c, at, "handSize");
        int64_t q = 0, h = 0;

        if (!at_set(at))
                return;
        json_to_int(queues->j, &q);
        json_to_int(hand->j, &h);
        if (json_get_int(at->j, "queueLengthLimit", 0) <= 0)
                check_invalid(c, at_field(c, at, "queueLengthLimit"), "must be positive");
        if (q <= 0)
                check_invalid(c, queues, "must be positive");
        else if (q > 10000000)
                check_invalid(c, queues, "must not be greater than 10000000");
        if (h <= 0)
                check_invalid(c, hand, "must be positive");
        else if (h > q)
                check_invalid(c, hand, "should not be greater than queues (%lld)", (long long)q);
        else if (too_many_bits(q, h))
                check_invalid(c, hand, "required entropy bits of deckSize %lld and handSize %lld should not be greater than 60",
                              (long long)q, (long long)h);
}
