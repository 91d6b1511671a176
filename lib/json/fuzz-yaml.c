/* Any stream: no crash, no unbounded growth, and what comes out prints. */
#include "yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *all;

        if (yaml_parse_all(a, (const char *)data, size, &all, &err) == 0)
                json_print(a, all);
        return 0;
}
