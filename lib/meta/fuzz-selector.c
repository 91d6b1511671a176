/* Any query parameter: what is accepted prints, and the printed form is accepted and prints the same. */
#include "selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_error_ struct error err = ERROR_INIT;
        char *text = arena_strndup(a, (const char *)data, size), *once;
        struct selector s;

        if (selector_parse(a, text, &s, &err) == 0) {
                once = selector_print(a, &s);
                if (selector_parse(a, once, &s, &err) < 0 || !streq(selector_print(a, &s), once))
                        abort();
                selector_matches(&s, NULL);
        }
        field_selector_parse(a, text, &s, &err);
        return 0;
}
