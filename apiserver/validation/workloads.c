/* What rules about workloads cannot say: shares, strategies, templates and their selectors. */
#include "metadata.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../lib/meta/quantity.h"
#include "../../lib/meta/selector.h"
#include "functions.h"

static void invalid_go(struct check *c, const struct at *at, const char *detail)
{
        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at), "%s", detail);
}

/* --- numbers and shares --- */

void check_int_or_percent(struct check *c, const struct at *at)
{
        int64_t n;

        if (json_is_string(at->j))
                check_name(c, at, NAME_PERCENT);
        else if (json_to_int(at->j, &n) == 0 && n < 0)
                check_invalid(c, at, "must be greater than or equal to 0");
}

/* What a share is as a number, without its sign of percent; what is neither is 0. */
static long number_of(const struct at *at)
{
        const struct json *j = at->j;
        char *end;
        long n;

        if (!json_is_string(j) && !json_is_number(j))
                return 0;
        n = strtol(j->str, &end, 10);
        if (end == j->str || isspace((unsigned char)j->str[0]) || (*end == '%' && !isdigit((unsigned char)j->str[0])))
                return 0;
        return streq(end, "") || streq(end, "%") ? n : 0;
}

void check_at_most_all(struct check *c, const struct at *at)
{
        const char *messages[NAME_MESSAGES];

        if (json_is_string(at->j) && !name_check(c->a, NAME_PERCENT, text_at(at), messages) && number_of(at) > 100)
                check_invalid(c, at, "must not be greater than 100%%");
}

/* A counter only grows. */
void check_not_decremented(struct check *c, const struct at *at)
{
        int64_t was, is = 0;

        if (json_to_int(at->old, &was) == 0 && (json_to_int(at->j, &is) != 0 || is < was))
                check_invalid(c, at, "cannot be decremented");
}

/* "example.com/path": errors show the part that is wrong. */
void check_domain_path(struct check *c, const struct at *at)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~%!$&'()*+,;=:";
        const char *s = text_at(at), *slash = strchr(s, '/');

        if (!*s) {
                check_required(c, at, NULL);
        } else if (!slash || slash == s || !slash[1]) {
                check_invalid(c, at, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        } else {
                name_validate_string(c->errs, NAME_DNS1123_SUBDOMAIN, at_path(c, at), arena_strndup(c->a, s, slash - s));
                if (slash[1 + strspn(slash + 1, allowed)])
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, slash + 1),
                                        "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
        }
}

/* --- strategies --- */

void check_set_strategy(struct check *c, const struct at *at)
{
        const struct at *type = at_field(c, at, "type"), *rolling = at_field(c, at, "rollingUpdate");
        const struct at *partition = at_field(c, rolling, "partition");
        int64_t n;

        if (!*text_at(type)) {
                check_required(c, at, "");
        } else if (streq(text_at(type), "OnDelete")) {
                if (at_set(rolling))
                        invalid_go(c, rolling, "only allowed for updateStrategy 'RollingUpdate'");
        } else if (!streq(text_at(type), "RollingUpdate")) {
                invalid_go(c, at, "must be 'RollingUpdate' or 'OnDelete'");
        } else if (at_set(rolling)) {
                if (json_to_int(partition->j, &n) == 0 && n < 0)
                        check_invalid(c, partition, "must be greater than or equal to 0");
        }
}

void check_rolling_update(struct check *c, const struct at *at)
{
        const struct at *unavailable = at_field(c, at, "maxUnavailable"), *surge = at_field(c, at, "maxSurge");

        if (number_of(unavailable) == 0 && number_of(surge) == 0)
                check_invalid(c, unavailable, "may not be 0 when `maxSurge` is 0");
        check_at_most_all(c, unavailable);
}

void check_daemon_strategy(struct check *c, const struct at *at)
{
        static const char *const types[] = { "RollingUpdate", "OnDelete", NULL };
        const struct at *type = at_field(c, at, "type"), *rolling = at_field(c, at, "rollingUpdate");
        const struct at *max = at_field(c, rolling, "maxUnavailable"), *surge = at_field(c, rolling, "maxSurge");

        if (streq(text_at(type), "OnDelete"))
                return;
        if (!streq(text_at(type), "RollingUpdate")) {
                field_error_not_supported(c->errs, at_path(c, at), at->j, types);
                c->errs->list[c->errs->n - 1].value = go_struct(c, at);
                return;
        }
        if (!at_set(rolling)) {
                check_required(c, rolling, "");
                return;
        }
        check_int_or_percent(c, max);
        check_int_or_percent(c, surge);
        check_at_most_all(c, max);
        check_at_most_all(c, surge);
        if (number_of(max) != 0 && number_of(surge) != 0)
                check_invalid(c, surge, "may not be set when maxUnavailable is non-zero");
        if (number_of(max) == 0 && number_of(surge) == 0)
                check_required(c, max, "cannot be 0 when maxSurge is 0");
}

void check_deployment_strategy(struct check *c, const struct at *at)
{
        static const char *const types[] = { "Recreate", "RollingUpdate", NULL };
        const char *type = text_at(at_field(c, at, "type"));

        if (!*type || streq(type, types[0]) || streq(type, types[1]))
                return;
        field_error_not_supported(c->errs, at_path(c, at), at->j, types);
        c->errs->list[c->errs->n - 1].value = go_struct(c, at);
}

/* --- selectors --- */

/* What cannot be made a selector of: its parts were complained about already. */
bool cond_bad_selector(struct check *c, const struct at *at)
{
        struct selector s = { 0 };

        return at_set(at) && selector_from_object(c->a, at->j, &s, NULL) != 0;
}

bool cond_bad_selector_inside(struct check *c, const struct at *spec)
{
        return cond_bad_selector(c, at_field(c, spec, "selector"));
}

/* A replication controller's selector is a plain map. */
void check_map_selects_template(struct check *c, const struct at *at)
{
        const struct at *labels = at_field(c, at, "metadata.labels");

        json_foreach_member(json_get(at->up->j, "selector"), m)
                if (!json_equal(json_getn(labels->j, m->key, m->key_len), m->value)) {
                        check_invalid(c, labels, "`selector` does not match template `labels`");
                        return;
                }
}

bool cond_no_object(struct check *c, const struct at *at)
{
        unused(c);
        return at_set(at) && !json_is_object(at->j);
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
