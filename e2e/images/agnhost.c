/* A stand-in for the test image agnhost: the two of its commands that tests call, in one static program.
 *
 *     agnhost netexec --http-port=8080       GET / says the time, /healthz 412, /hostname, /clientip, /echo?msg=...
 *     agnhost grpc-health-checking           grpc.health.v1.Health/Check on port 5000 says SERVING
 *
 * One process a connection, no libraries: an image of a single file. The gRPC side speaks just as much HTTP/2 as
 * one unary call needs; what it answers is the same whatever the request's headers say, so they are not decoded.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int listen_on(int port)
{
        struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port) };
        int one = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 128) < 0) {
                /* A kernel without IPv6. */
                struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
                if (fd >= 0)
                        close(fd);
                fd = socket(AF_INET, SOCK_STREAM, 0);
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
                if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 128) < 0) {
                        perror("listen");
                        exit(1);
                }
        }
        return fd;
}

/* --- netexec --- */

static void describe(const char *path, int fd, char *out, size_t size)
{
        if (strncmp(path, "/hostname", 9) == 0) {
                gethostname(out, size - 1);
        } else if (strncmp(path, "/clientip", 9) == 0) {
                struct sockaddr_in6 peer;
                socklen_t len = sizeof(peer);
                char text[INET6_ADDRSTRLEN] = "";
                getpeername(fd, (struct sockaddr *)&peer, &len);
                if (peer.sin6_family == AF_INET)
                        inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, text, sizeof(text));
                else
                        inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text));
                snprintf(out, size, "%s:%d", strncmp(text, "::ffff:", 7) ? text : text + 7, ntohs(peer.sin6_port));
        } else if (strncmp(path, "/echo?msg=", 10) == 0) {
                snprintf(out, size, "%s", path + 10);
        } else {
                time_t now = time(NULL);
                strftime(out, size, "NOW: %Y-%m-%d %H:%M:%S +0000 UTC", gmtime(&now));
        }
}

static void serve_http(int fd)
{
        char request[8192], path[2048], body[2048], answer[4096];
        size_t used = 0;

        for (;;) {
                ssize_t n = read(fd, request + used, sizeof(request) - 1 - used);
                if (n <= 0)
                        return;
                used += (size_t)n;
                request[used] = '\0';
                if (strstr(request, "\r\n\r\n"))
                        break;
        }
        if (sscanf(request, "%*s %2047s", path) != 1)
                return;
        memset(body, 0, sizeof(body));
        /* agnhost's own health check fails until something tells it that it is well: nothing does. */
        int bad = strncmp(path, "/healthz", 8) == 0;
        if (!bad)
                describe(path, fd, body, sizeof(body));
        int len = snprintf(answer, sizeof(answer),
                           "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                           bad ? "412 Precondition Failed" : "200 OK", strlen(body), body);
        if (write(fd, answer, (size_t)len) < 0)
                return;
}

/* --- grpc-health-checking --- */

static int read_all(int fd, unsigned char *p, size_t n)
{
        while (n) {
                ssize_t r = read(fd, p, n);
                if (r <= 0)
                        return -1;
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

static void send_frame(int fd, int type, int flags, unsigned stream, const void *data, size_t n)
{
        unsigned char frame[256] = { 0, (unsigned char)(n >> 8), (unsigned char)n, (unsigned char)type,
                                     (unsigned char)flags, (unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
                                     (unsigned char)(stream >> 8), (unsigned char)stream };

        if (n)
                memcpy(frame + 9, data, n);
        if (write(fd, frame, 9 + n) < 0)
                exit(0);
}

static void answer_call(int fd, unsigned stream)
{
        /* HPACK: 0x88 is ":status: 200" of the static table; 0x00 begins a literal with a literal name. */
        static const char headers[] = "\x88\x00\x0c" "content-type" "\x10" "application/grpc";
        static const char message[] = { 0, 0, 0, 0, 2, 0x08, 0x01 }; /* status: SERVING */
        static const char trailers[] = "\x00\x0b" "grpc-status" "\x01" "0";

        send_frame(fd, 1, 4, stream, headers, sizeof(headers) - 1);
        send_frame(fd, 0, 0, stream, message, sizeof(message));
        send_frame(fd, 1, 4 | 1, stream, trailers, sizeof(trailers) - 1);
}

static void serve_grpc(int fd)
{
        unsigned char head[24], body[1 << 14];

        if (read_all(fd, head, 24) < 0)
                return; /* the connection preface */
        send_frame(fd, 4, 0, 0, NULL, 0);
        while (read_all(fd, head, 9) == 0) {
                size_t n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
                unsigned stream = (unsigned)(head[5] & 0x7f) << 24 | (unsigned)head[6] << 16 | (unsigned)head[7] << 8 | head[8];
                if (n > sizeof(body) || read_all(fd, body, n) < 0)
                        return;
                if (head[3] == 4 && !(head[4] & 1))
                        send_frame(fd, 4, 1, 0, NULL, 0);
                else if (head[3] == 6 && !(head[4] & 1))
                        send_frame(fd, 6, 1, 0, body, 8);
                else if (head[3] <= 1 && (head[4] & 1))
                        answer_call(fd, stream);
        }
}

static void serve(int port, void (*handle)(int fd))
{
        int server = listen_on(port);

        for (;;) {
                int fd = accept(server, NULL, NULL);
                if (fd >= 0 && fork() == 0) {
                        close(server);
                        handle(fd);
                        exit(0);
                }
                close(fd);
        }
}

static void end(int signo)
{
        _exit(0);
}

int main(int argc, char **argv)
{
        int port = 8080;

        signal(SIGCHLD, SIG_IGN);
        signal(SIGTERM, end);
        for (int i = 2; i < argc; i++)
                if (strncmp(argv[i], "--http-port=", 12) == 0)
                        port = atoi(argv[i] + 12);
        if (argc > 1 && strcmp(argv[1], "pause") == 0)
                for (;;)
                        pause();
        if (argc > 1 && strcmp(argv[1], "netexec") == 0)
                serve(port, serve_http);
        if (argc > 1 && strcmp(argv[1], "grpc-health-checking") == 0)
                serve(5000, serve_grpc);
        fprintf(stderr, "agnhost: this stand-in knows netexec, grpc-health-checking and pause only\n");
        return 2;
}
