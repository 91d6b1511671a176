/* Expressions from outside: compiled and evaluated, within their limits. */
#include "cel.h"

static struct cel_value resolve(struct cel_run *run, void *userdata, const char *name)
{
        return cel_from_json(userdata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const names[] = { "o", "self", NULL };
        static const char text[] = "{\"a\":1,\"s\":\"x\",\"l\":[1,2.5,null],\"m\":{\"k\":true}}";
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct cel_program *p = NULL;
        struct json *j = NULL;
        struct cel_run run = { .arena = a, .resolve = resolve, .limit = 20000 };

        if (json_parse(a, text, sizeof(text) - 1, NULL, &j, NULL) < 0)
                return 0;
        run.userdata = j;
        if (cel_compile(a, arena_strndup(a, (const char *)data, size), names, &p, NULL) == 0) {
                struct cel_value v = cel_eval(p, &run);

                cel_to_json(a, &v);
        }
        return 0;
}
