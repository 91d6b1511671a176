/* What rules about API services cannot say. */
#include "metadata.h"

#include "functions.h"

/* It is the rule of the name: what it says comes before all else about a new object. */
void check_api_service_name(struct check *c, const struct at *at)
{
        size_t before = c->errs->n;
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
        if (!c->old)
                field_errors_move_front(c->errs, before);
}
