/* What rules about drivers, API services, fairness and policies cannot say. */
#include "metadata.h"

#include <ctype.h>

#include "functions.h"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

/* --- drivers and classes --- */

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

/* --- API services --- */

void check_api_service_name(struct check *c, const struct at *at)
{
        const char *group = json_path_string(at->j, "spec.group"), *version = json_path_string(at->j, "spec.version");
        const char *wanted = arena_printf(c->a, "%s.%s", version ? version : "", group ? group : "");
        const char *fields[] = { "metadata.generateName", "metadata.name" }, *messages[NAME_MESSAGES];

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const char *s = json_path_string(at->j, fields[i]);
                unsigned n = str_empty(s) ? 0 : name_check(c->a, NAME_PATH_SEGMENT, s, messages);

                for (unsigned k = 0; k < n; k++)
                        field_error_add(c->errs, FIELD_INVALID, fields[i], json_new_string(c->a, s), "%s", messages[k]);
                if (!n && !str_empty(s) && !streq(s, wanted))
                        field_error_add(c->errs, FIELD_INVALID, fields[i], json_new_string(c->a, s),
                                        "must be `spec.version+\".\"+spec.group`: %s", json_print(c->a, json_new_string(c->a, wanted)));
        }
}

/* --- revisions --- */

/* What was applied is stored without white space, as a patch leaves it. */
static bool data_applied(const struct json *obj)
{
        json_foreach_item(json_path(obj, "metadata.managedFields"), e)
                if (streq(json_get_string(e, "operation"), "Apply") && json_get(json_get(e, "fieldsV1"), "f:data"))
                        return true;
        return false;
}

/* Upstream compares raw bytes: as the client wrote them with what is left of them after a patch. These differ by their white
 * space, whatever was patched. */
void check_revision_data(struct check *c, const struct at *at)
{
        if (!c->old)
                return;
        if (c->r && streq(c->r->verb, "patch") && !data_applied(c->old))
                check_invalid(c, at, ERR_IMMUTABLE);
        else
                check_immutable(c, at);
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
