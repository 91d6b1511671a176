/* Any bytes parse or fail; what parses writes and parses again to the same. */
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct json_limits limits = { .max_depth = size % 2 ? 200 : 0 }; /* 0: what is too deep for a tree is kept as text */
        struct arena *a = arena_new(0);
        struct json *j, *again;

        if (json_parse(a, (const char *)data, size, &limits, &j, NULL) == 0) {
                const char *text = json_print(a, j);

                if (json_parse(a, text, strlen(text), &limits, &again, NULL) < 0 ||
                    !json_equal(j, again))
                        abort();
        }
        arena_free(a);
        return 0;
}
