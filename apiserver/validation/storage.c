/* What rules about storage cannot say: drivers and what nodes know of them, classes, topologies. */
#include "metadata.h"

#include <ctype.h>

#include "functions.h"

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

/* Upstream compares a term with the earlier ones, and with as many empty ones as there are terms. */
void check_allowed_topologies(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *term = at_item(c, list, i);

                check_topology_term(c, term);
                for (size_t k = 0; k < json_len(list->j) && !json_len(json_get(term->j, "matchLabelExpressions")); k++)
                        field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at_field(c, term, "matchLabelExpressions")),
                                             "\"\"", NULL);
                for (size_t k = 0; k < i; k++)
                        if (topology_within(json_at(list->j, k), term->j) && topology_within(term->j, json_at(list->j, k)))
                                field_error_add_text(c->errs, FIELD_DUPLICATE,
                                                     at_path(c, at_field(c, term, "matchLabelExpressions")), "\"\"", NULL);
        }
}

/* --- classes --- */

/* "example.com/x": a driver, in the old form a qualified name. */
void check_driver_path(struct check *c, const struct at *at)
{
        char *lower = arena_strdup(c->a, text_at(at));

        for (char *p = lower; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, at), lower);
}

void check_lower_qualified(struct check *c, const struct at *at)
{
        check_driver_path(c, at);
}

void check_parameters(struct check *c, const struct at *at)
{
        size_t total = 0;

        if (json_len(at->j) > 512) {
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), NULL, "may not be more than 512 bytes");
                return;
        }
        json_foreach_member(at->j, m) {
                if (!m->key_len)
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, ""), "field can not be empty.");
                total += m->key_len + (json_is_string(m->value) ? m->value->len : 0);
        }
        if (total > 256 * 1024)
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), NULL, "may not be more than 262144 bytes");
}

void check_topology_key(struct check *c, const struct at *at)
{
        const struct at *driver = at->up->up;

        if (!*text_at(at))
                field_error_add(c->errs, FIELD_REQUIRED, at_path(c, driver), NULL, "%s", "");
        for (size_t i = 0; i < at->index; i++)
                if (json_equal(json_at(at->up->j, i), at->j)) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, driver), at->j, NULL);
                        break;
                }
        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, driver), text_at(at));
}

/* --- drivers --- */

void check_csi_driver_update(struct check *c, const struct at *spec)
{
        const struct at *attach = at_field(c, spec, "attachRequired"), *modes = at_field(c, spec, "volumeLifecycleModes");

        if (!c->old)
                return;
        if (!json_equal(json_get(spec->j, "attachRequired"), json_get(spec->old, "attachRequired")))
                field_error_add(c->errs, FIELD_INVALID, "spec.attachedRequired", attach->j, ERR_IMMUTABLE);
        if (!json_equal(json_get(spec->j, "volumeLifecycleModes"), json_get(spec->old, "volumeLifecycleModes")))
                check_invalid(c, modes, ERR_IMMUTABLE);
}

void check_token_request(struct check *c, const struct at *at)
{
        const struct at *audience = at_field(c, at, "audience"), *seconds = at_field(c, at, "expirationSeconds");
        const char *s = text_at(audience);
        int64_t n;

        for (size_t i = 0; i < at->index; i++) {
                const char *other = json_get_string(json_at(at->up->j, i), "audience");

                if (streq(other ? other : "", s)) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, audience), audience->j, NULL);
                        return;
                }
        }
        if (json_to_int(seconds->j, &n) == 0 && n < 600)
                check_invalid(c, seconds, "may not specify a duration less than 10 minutes");
        else if (json_to_int(seconds->j, &n) == 0 && n > INT64_C(1) << 32)
                check_invalid(c, seconds, "may not specify a duration larger than 2^32 seconds");
}
