/* What rules about pods cannot say: where they may run, names they resolve by, templates. */
#include "metadata.h"

#include "../../lib/meta/selector.h"
#include "functions.h"

bool cond_pod(struct check *c, const struct at *at)
{
        unused(at);
        return streq(c->res->kind, "Pod");
}

/* Its controller gives each pod a host name and a subdomain: what the template says of them is not looked at. */
bool cond_stateful(struct check *c, const struct at *at)
{
        unused(at);
        return streq(c->res->kind, "StatefulSet");
}

/* --- scheduling --- */

void check_required_then_qualified(struct check *c, const struct at *at)
{
        if (at_empty(at))
                check_required(c, at, "can not be empty");
        check_name(c, at, NAME_QUALIFIED);
}

void check_node_requirement(struct check *c, const struct at *at)
{
        const struct at *op = at_field(c, at, "operator"), *values = at_field(c, at, "values");
        const char *o = json_string(op->j) ?: "";

        if ((streq(o, "In") || streq(o, "NotIn")) && !json_len(values->j))
                check_required(c, values, "must be specified when `operator` is 'In' or 'NotIn'");
        else if ((streq(o, "Exists") || streq(o, "DoesNotExist")) && json_len(values->j))
                check_forbidden(c, values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        else if ((streq(o, "Gt") || streq(o, "Lt")) && json_len(values->j) != 1)
                check_required(c, values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        else if (!streq(o, "In") && !streq(o, "NotIn") && !streq(o, "Exists") && !streq(o, "DoesNotExist") &&
                 !streq(o, "Gt") && !streq(o, "Lt"))
                check_invalid(c, op, "not a valid selector operator");
        check_name(c, at_field(c, at, "key"), NAME_QUALIFIED);
}

/* Of fields of nodes there is just the name. */
void check_node_field(struct check *c, const struct at *at)
{
        const struct at *op = at_field(c, at, "operator"), *values = at_field(c, at, "values"), *key = at_field(c, at, "key");

        if (!streq(text_at(op), "In") && !streq(text_at(op), "NotIn"))
                check_invalid(c, op, "not a valid selector operator");
        else if (json_len(values->j) != 1)
                check_required(c, values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
        if (!streq(text_at(key), "metadata.name"))
                check_invalid(c, key, "not a valid field selector key");
        else
                for (size_t i = 0; i < json_len(values->j); i++)
                        check_name(c, at_item(c, values, i), NAME_DNS1123_SUBDOMAIN);
}

void check_toleration(struct check *c, const struct at *at)
{
        static const char *const operators[] = { "Equal", "Exists", NULL };
        static const char *const all_operators[] = { "Equal", "Exists", "Lt", "Gt", NULL };
        static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
        const struct at *key = at_field(c, at, "key"), *op = at_field(c, at, "operator");
        const struct at *value = at_field(c, at, "value"), *effect = at_field(c, at, "effect");
        const char *o = json_string(op->j) ?: "", *messages[NAME_MESSAGES];

        if (!at_empty(key))
                check_name(c, key, NAME_QUALIFIED);
        else if (!streq(o, "Exists"))
                check_invalid(c, op, "operator must be Exists when `key` is empty, which means \"match all values and "
                                     "all keys\"");
        if (json_is_number(json_get(at->j, "tolerationSeconds")) && !streq(json_string(effect->j), "NoExecute"))
                check_invalid(c, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        if (streq(o, "") || streq(o, "Equal")) {
                unsigned n = name_check(c->a, NAME_LABEL_VALUE, json_string(value->j) ?: "", messages);

                if (n)
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, op), value->j, "%s%s%s", messages[0], n > 1 ? ";" : "",
                                        n > 1 ? messages[1] : "");
        } else if (streq(o, "Exists")) {
                if (!at_empty(value))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, op), value->j,
                                        "value must be empty when `operator` is 'Exists'");
        } else {
                field_error_not_supported(c->errs, at_path(c, op), op->j,
                                          streq(o, "Gt") || streq(o, "Lt") ? all_operators : operators);
        }
        if (!at_empty(effect))
                check_enum(c, effect, effects);
}

void check_scheduling_gate(struct check *c, const struct at *at)
{
        const char *name = json_get_string(at->j, "name");

        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, at), name ? name : "");
        for (size_t i = 0; i < at->index; i++)
                if (streq(json_get_string(json_at(at->up->j, i), "name"), name))
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at), json_new_string(c->a, name), NULL);
}

/* The path is the term's, with a field in the singular. */
void check_affinity_namespace(struct check *c, const struct at *at)
{
        name_validate_string(c->errs, NAME_DNS1123_LABEL, arena_printf(c->a, "%s.namespace", at_path(c, at->up->up)), text_at(at));
}

void check_min_domains(struct check *c, const struct at *at)
{
        const char *when = json_get_string(at->up->j, "whenUnsatisfiable");

        if (at_set(at) && !streq(when, "DoNotSchedule"))
                check_invalid(c, at, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %s", when ? when : "");
}

/* Of two of a kind the first is named. */
void check_spread_once(struct check *c, const struct at *at)
{
        const char *key = json_get_string(at->j, "topologyKey"), *when = json_get_string(at->j, "whenUnsatisfiable");

        for (size_t i = at->index + 1; i < json_len(at->up->j); i++) {
                const struct json *o = json_at(at->up->j, i);

                if (streq(json_get_string(o, "topologyKey"), key) && streq(json_get_string(o, "whenUnsatisfiable"), when)) {
                        field_error_add(c->errs, FIELD_DUPLICATE,
                                        arena_printf(c->a, "%s.{topologyKey, whenUnsatisfiable}", at_path(c, at)),
                                        json_new_stringf(c->a, "{%s, %s}", key ? key : "", when ? when : ""), NULL);
                        return;
                }
        }
}

static bool has_text(const struct json *list, const char *text)
{
        json_foreach_item(list, it)
                if (streq(json_string(it), text))
                        return true;
        return false;
}

/* Keys of matchLabelKeys are added to the selector: none of them may have been there. AT has both. */
void check_matched_twice(struct check *c, const struct at *at)
{
        const struct json *exprs = json_path(at->j, "labelSelector.matchExpressions");

        json_foreach_item(exprs, expr) {
                const char *key = json_get_string(expr, "key");
                bool before = false;

                if (!has_text(json_get(at->j, "matchLabelKeys"), key) && !has_text(json_get(at->j, "mismatchLabelKeys"), key))
                        continue;
                for (size_t i = 0; i < expr_i; i++)
                        before |= streq(json_get_string(json_at(exprs, i), "key"), key);
                if (before)
                        field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s[%zu]", at_path(c, at), expr_i),
                                        json_new_string(c->a, key), "exists in both matchLabelKeys and labelSelector");
        }
}

/* --- names --- */

void check_dns_config(struct check *c, const struct at *at)
{
        const struct at *config = at_field(c, at, "dnsConfig"), *servers = at_field(c, config, "nameservers");
        const struct at *searches = at_field(c, config, "searches"), *options = at_field(c, config, "options");
        size_t length = 0;

        if (streq(json_get_string(at->j, "dnsPolicy"), "None")) {
                if (!at_set(config))
                        check_required(c, config, "must provide `dnsConfig` when `dnsPolicy` is None");
                else if (!json_len(servers->j))
                        check_required(c, servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
        if (json_len(servers->j) > 3)
                check_invalid(c, servers, "must not have more than 3 nameservers");
        for (size_t i = 0; i < json_len(servers->j); i++)
                check_name(c, at_item(c, servers, i), NAME_IP);
        json_foreach_item(searches->j, s)
                length += (json_string(s) ? s->len : 0) + (s_i > 0);
        if (json_len(searches->j) > 32)
                check_invalid(c, searches, "must not have more than 32 search paths");
        if (length > 2048)
                check_invalid(c, searches, "must not have more than 2048 characters (including spaces) in the search list");
        for (size_t i = 0; i < json_len(searches->j); i++) {
                const struct at *search = at_item(c, searches, i);
                const char *s = text_at(search);
                size_t n = strlen(s);
                struct at *plain = arena_memdup(c->a, search, sizeof(*plain));

                /* A dot alone, or one at the end, is fine; what is checked is what is before it. */
                if (n && s[n - 1] == '.')
                        plain->j = json_new_stringn(c->a, s, n - 1);
                if (!streq(s, "."))
                        check_name(c, plain, NAME_SUBDOMAIN_UNDERSCORE);
        }
        for (size_t i = 0; i < json_len(options->j); i++) {
                const struct at *option = at_item(c, options, i);

                if (str_empty(json_get_string(option->j, "name")))
                        check_required(c, option, "must not be empty");
        }
}

/* --- templates --- */

/* Upstream leaves "metadata" out of the paths of templates. */
static const struct at *without_metadata(struct check *c, const struct at *template, const char *name)
{
        struct at *f = arena_memdup(c->a, at_field(c, template, "metadata"), sizeof(*f));

        f = arena_memdup(c->a, at_field(c, f, name), sizeof(*f));
        f->up = template;
        return f;
}

void check_template_metadata(struct check *c, const struct at *at)
{
        const struct at *annotations = without_metadata(c, at, "annotations");

        check_labels(c, without_metadata(c, at, "labels"));
        check_annotations(c, annotations);
        check_annotations_of_pod(c, annotations, at_field(c, at, "spec"));
}

void check_selects_template(struct check *c, const struct at *at)
{
        const struct at *labels = at_field(c, at, "metadata.labels");
        const struct json *selector = json_get(at->up->j, "selector");
        struct selector s = { 0 };

        if (selector && selector_from_object(c->a, selector, &s, NULL) != 0)
                return;
        if (!selector || !selector_matches(&s, json_is_object(labels->j) ? labels->j : NULL))
                check_invalid(c, labels, "`selector` does not match template `labels`");
}

