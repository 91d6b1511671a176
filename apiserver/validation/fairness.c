/* What rules about flow schemas and priority levels cannot say. */
#include "metadata.h"

#include "functions.h"

static bool has_star(const struct at *list)
{
        json_foreach_item(list->j, item)
                if (streq(json_string(item), "*"))
                        return true;
        return false;
}

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
