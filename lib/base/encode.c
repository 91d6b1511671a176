/* Base64, hexadecimal, random names: see encode.h. */
#include "encode.h"

#include <errno.h>
#include <sys/random.h>

static const char base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode64(struct strbuf *out, const unsigned char *p, size_t len, const char *alphabet,
                     bool pad)
{
        strbuf_reserve(out, (len + 2) / 3 * 4);
        for (size_t i = 0; i < len; i += 3) {
                size_t n = MIN(len - i, (size_t)3);
                uint32_t v = p[i] << 16 | (n > 1 ? p[i + 1] : 0) << 8 | (n > 2 ? p[i + 2] : 0);

                for (size_t k = 0; k < 4; k++) {
                        if (k <= n)
                                strbuf_putc(out, alphabet[v >> (18 - 6 * k) & 63]);
                        else if (pad)
                                strbuf_putc(out, '=');
                }
        }
}

void base64_encode(struct strbuf *out, const void *data, size_t len)
{
        encode64(out, data, len, base64_std, true);
}

void base64url_encode(struct strbuf *out, const void *data, size_t len)
{
        encode64(out, data, len, base64_url, false);
}

static int value64(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+' || c == '-')
                return 62;
        if (c == '/' || c == '_')
                return 63;
        return -1;
}

static int bad64(size_t at, size_t *ret_bad)
{
        if (ret_bad)
                *ret_bad = at;
        return -EINVAL;
}

int base64_decode(struct strbuf *out, const char *s, size_t len, size_t *ret_bad)
{
        uint32_t v = 0;
        size_t n = 0, i;

        for (i = 0; i < len && s[i] != '='; i++) {
                int d = value64(s[i]);

                if (s[i] == '\n' || s[i] == '\r')
                        continue;
                if (d < 0)
                        return bad64(i, ret_bad);
                v = v << 6 | (uint32_t)d;
                if (++n % 4 == 0) {
                        strbuf_putc(out, (char)(v >> 16));
                        strbuf_putc(out, (char)(v >> 8));
                        strbuf_putc(out, (char)v);
                        v = 0;
                }
        }
        size_t padding = 0;

        for (size_t k = i; k < len; k++) {
                if (s[k] == '\n' || s[k] == '\r')
                        continue;
                if (s[k] != '=' || ++padding > 2)
                        return bad64(k, ret_bad);
        }
        if (n % 4 == 1 || (padding && (n + padding) % 4))
                return bad64(i, ret_bad);
        if (n % 4 >= 2)
                strbuf_putc(out, (char)(n % 4 == 2 ? v >> 4 : v >> 10));
        if (n % 4 == 3)
                strbuf_putc(out, (char)(v >> 2));
        return 0;
}

void hex_encode(struct strbuf *out, const void *data, size_t len)
{
        const unsigned char *p = data;

        for (size_t i = 0; i < len; i++) {
                strbuf_putc(out, "0123456789abcdef"[p[i] >> 4]);
                strbuf_putc(out, "0123456789abcdef"[p[i] & 15]);
        }
}

void random_bytes(void *buf, size_t len)
{
        char *p = buf;

        while (len) {
                ssize_t n = getrandom(p, len, 0);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        abort();
                }
                p += n;
                len -= n;
        }
}

/* For names, UIDs and backoffs, not for keys: drawn ahead, a system call for 64 of them. */
static uint32_t random_word(void)
{
        static __thread uint32_t ahead[64];
        static __thread unsigned left;

        if (!left) {
                random_bytes(ahead, sizeof(ahead));
                left = ARRAY_SIZE(ahead);
        }
        return ahead[--left];
}

char *random_id(struct arena *a)
{
        uint8_t bytes[32];
        struct strbuf b = STRBUF_INIT;
        char *id;

        random_bytes(bytes, sizeof(bytes));
        hex_encode(&b, bytes, sizeof(bytes));
        id = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return id;
}

uint32_t random_below(uint32_t n)
{
        uint32_t limit = UINT32_MAX - UINT32_MAX % n, v;

        do
                v = random_word();
        while (v >= limit);
        return v % n;
}

char *uuid_new(char buf[UUID_BUF])
{
        static const char digits[] = "0123456789abcdef";
        unsigned char b[16];
        char *at = buf;

        for (size_t i = 0; i < sizeof(b); i += sizeof(uint32_t)) {
                uint32_t word = random_word();

                memcpy(b + i, &word, sizeof(word));
        }
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        for (size_t i = 0; i < sizeof(b); i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *at++ = '-';
                *at++ = digits[b[i] >> 4];
                *at++ = digits[b[i] & 15];
        }
        *at = '\0';
        return buf;
}

char *random_suffix(char *buf, size_t n)
{
        static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";

        for (size_t i = 0; i < n; i++)
                buf[i] = alphabet[random_below(sizeof(alphabet) - 1)];
        buf[n] = '\0';
        return buf;
}
