/* What rules about webhooks and policies cannot say. */
#include "metadata.h"

#include <ctype.h>

#include "functions.h"
#include "webhook-client.h"

bool cond_blank(struct check *c, const struct at *at)
{
        unused(c);
        return !text_at(at)[strspn(text_at(at), " \t\r\n\v\f")];
}

/* --- webhooks --- */

void check_webhook_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *dot = strchr(s, '.');
        size_t before = c->errs->n;

        name_validate_joined(c->errs, NAME_DNS1123_SUBDOMAIN, at_path(c, at), s, s, "");
        if (c->errs->n == before && (!dot || !strchr(dot + 1, '.')))
                check_invalid(c, at, "should be a domain with at least three segments separated by dots");
}

void check_webhook_url(struct check *c, const struct at *at)
{
        webhook_check_url(c->errs, at_path(c, at), text_at(at));
}

void check_webhook_path(struct check *c, const struct at *at)
{
        if (at_set(at))
                webhook_check_path(c->errs, at_path(c, at), text_at(at));
}

/* Whether one of the first N words of LIST is TEXT. */
static bool said_before(const struct json *list, size_t n, const char *text)
{
        json_foreach_item(list, item)
                if (item_i < n && streq(json_string(item), text))
                        return true;
        return false;
}

/* Resources and subresources, with stars for any: none says what another does already. */
void check_rule_resources(struct check *c, const struct at *list)
{
        bool all = false, all_main = false, main_resource = false;

        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *it = at_item(c, list, i);
                const char *s = text_at(it), *slash = strchr(s, '/');
                const char *resource = arena_strndup(c->a, s, slash ? (size_t)(slash - s) : strlen(s));

                if (!*s) {
                        check_required(c, it, NULL);
                        continue;
                }
                all |= streq(s, "*/*");
                all_main |= streq(s, "*");
                if (!slash) {
                        main_resource = !streq(s, "*");
                        continue;
                }
                if (said_before(list->j, i, arena_printf(c->a, "%s/*", resource)))
                        check_invalid(c, it, "if '%s/*' is present, must not specify %s", resource, s);
                if (said_before(list->j, i, arena_printf(c->a, "*/%s", slash + 1)))
                        check_invalid(c, it, "if '*/%s' is present, must not specify %s", slash + 1, s);
        }
        if (all && json_len(list->j) > 1)
                check_invalid(c, list, "if '*/*' is present, must not specify other resources");
        if (all_main && main_resource)
                check_invalid(c, list, "if '*' is present, must not specify other resources without subresources");
}

/* --- policies --- */

/* Upstream names the list here, not the item. */
void check_mutating_operation(struct check *c, const struct at *at)
{
        static const char *const words[] = { "*", "CONNECT", "CREATE", "UPDATE", NULL };

        for (size_t i = 0; words[i]; i++)
                if (streq(words[i], text_at(at)))
                        return;
        field_error_not_supported(c->errs, str_has_suffix(c->res->kind, "Binding") ? "spec.matchResources.resourceRules.operations"
                                                                                   : "spec.matchConstraints.resourceRules.operations", at->j, words);
}

void check_group_version(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/'), *version = slash ? slash + 1 : s;
        const char *group = slash ? arena_strndup(c->a, s, (size_t)(slash - s)) : "";

        if (strchr(version, '/')) {
                check_invalid(c, at, "unexpected GroupVersion string: %s", s);
                return;
        }
        if (*group)
                name_validate_joined(c->errs, NAME_DNS1123_SUBDOMAIN, at_path(c, at), group, group, "");
        if (!*version)
                check_invalid(c, at, "version must be specified");
        else
                name_validate_joined(c->errs, NAME_DNS1035_LABEL, at_path(c, at), version, version, "");
}

void check_kind_name(struct check *c, const struct at *at)
{
        char *lower = arena_strdup(c->a, text_at(at));

        for (char *p = lower; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        name_validate_joined(c->errs, NAME_DNS1035_LABEL, at_path(c, at), lower, text_at(at),
                             "may have mixed case, but should otherwise match: ");
}

void check_one_line(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *text = s + strspn(s, " \t\r\n"), *newline = strpbrk(text, "\r\n");

        if (*s && !*text)
                check_invalid(c, at, "must be non-empty if specified");
        else if (newline && newline[strspn(newline, " \t\r\n")])
                check_invalid(c, at, "must not contain line breaks");
}

void check_cel_identifier(struct check *c, const struct at *at)
{
        static const char *const reserved[] = { "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for",
                                                "function", "if", "import", "let", "loop", "package", "namespace", "return",
                                                "var", "void", "while" };
        const char *s = text_at(at), *p = s;
        bool taken = false;

        if (cond_blank(c, at)) {
                check_required(c, at, "name is not specified");
                return;
        }
        if (isalpha((unsigned char)*s) || *s == '_')
                while (isalnum((unsigned char)*p) || *p == '_')
                        p++;
        for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
                taken |= streq(s, reserved[i]);
        if (p == s || *p || taken)
                check_invalid(c, at, "must be a valid CEL identifier");
}

void check_audit_key(struct check *c, const struct at *at)
{
        const char *name = json_path_string(c->obj, "metadata.name");

        if (!str_empty(name))
                name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, at), arena_printf(c->a, "%s/%s", name, text_at(at)));
}
