/* CNI results and image names: whatever they hold, the parsers answer. */
#include "../images/reference.h"
#include "network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena *a = arena_new(0);
        struct network_result r;
        struct image_reference ref;

        network_parse_result(a, (const char *)data, size, &r, NULL);
        image_reference_parse(a, arena_strndup(a, (const char *)data, size), &ref, NULL);
        arena_free(a);
        return 0;
}
