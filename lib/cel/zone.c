/* Time zones by name: the machine's compiled tables (RFC 8536, "TZif"). Only what transitions say is read; a rule for the years
 * behind the last one is not, and the last offset stays. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "value.h"

enum { HEADER = 44, FILE_MAX = 65536 };

static int64_t big_endian(const uint8_t *p, size_t n)
{
        uint64_t x = p[0] & 0x80 ? UINT64_MAX : 0;

        for (size_t i = 0; i < n; i++)
                x = x << 8 | p[i];
        return (int64_t)x;
}

/* The block at P whose times take SIZE bytes. */
static bool find_offset(const uint8_t *p, size_t len, size_t size, int64_t time, int *ret)
{
        size_t times, types, need, at;
        const uint8_t *type;

        if (len < HEADER)
                return false;
        times = (size_t)big_endian(p + 32, 4);
        types = (size_t)big_endian(p + 36, 4);
        if (times > FILE_MAX || types > 256 || !types)
                return false;
        need = HEADER + times * (size + 1) + types * 6;
        if (len < need)
                return false;
        for (at = times; at > 0 && big_endian(p + HEADER + (at - 1) * size, size) > time;)
                at--;
        at = at ? p[HEADER + times * size + at - 1] : 0;
        if (at >= types)
                return false;
        type = p + HEADER + times * (size + 1) + at * 6;
        *ret = (int)big_endian(type, 4);
        return true;
}

static size_t block_size(const uint8_t *p)
{
        size_t n[6];

        for (size_t i = 0; i < 6; i++) /* isutc, isstd, leap, time, type, char */
                n[i] = (size_t)big_endian(p + 20 + i * 4, 4) & 0xffffff;
        return HEADER + n[0] + n[1] + n[2] * 8 + n[3] * 5 + n[4] * 6 + n[5];
}

bool cel_zone_offset(struct cel_string name, int64_t time, int *ret)
{
        static uint8_t data[FILE_MAX];
        char path[128];
        ssize_t len;
        size_t first;
        int fd;

        if (!name.len || name.len > 64 || *name.s == '/' || memchr(name.s, '.', name.len))
                return false;
        for (size_t i = 0; i < name.len; i++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/", name.s[i] ? name.s[i] : ' '))
                        return false;
        snprintf(path, sizeof(path), "/usr/share/zoneinfo/%.*s", (int)name.len, name.s);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        len = read(fd, data, sizeof(data));
        close(fd);
        if (len < HEADER || memcmp(data, "TZif", 4) != 0)
                return false;
        if (data[4] < '2')
                return find_offset(data, (size_t)len, 4, time, ret);
        first = block_size(data);
        return first < (size_t)len && find_offset(data + first, (size_t)len - first, 8, time, ret);
}
