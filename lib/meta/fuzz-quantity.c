/* Any text: what is accepted prints, and parses back to the same value. */
#include "quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *s = xstrndup((const char *)data, size);
        struct quantity q, again;
        char buf[QUANTITY_BUF];

        if (quantity_parse(s, &q) < 0)
                return 0;
        quantity_format(&q, buf);
        if (quantity_parse(buf, &again) < 0 || quantity_cmp(&q, &again) != 0)
                abort();
        quantity_add(&q, &again);
        quantity_value(&q);
        return 0;
}
