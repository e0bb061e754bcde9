/* A Modbus TCP server that is never the bottleneck: `modbus_server PORTS` prints `ready PORT...` and serves until ended.
 *
 * It answers FC 3 and FC 4 of any unit. Holding register n holds n; input registers 2n and 2n + 1 hold a float32 (ABCD)
 * between 230 and 231 that differs with n.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES_MAX = 4096, REQUEST = 12, COUNT_MAX = 125, PENDING_MAX = 16 * REQUEST };

static struct { int listens; size_t held; uint8_t bytes[PENDING_MAX]; } files[FILES_MAX];

static int listen_on_any_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int file = socket(AF_INET, SOCK_STREAM, 0);

    if (file < 0 || file >= FILES_MAX || bind(file, (struct sockaddr *) &address, sizeof address) || listen(file, 64))
        return -1;
    files[file].listens = 1;
    return file;
}

static unsigned port_of(int file)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    getsockname(file, (struct sockaddr *) &address, &size);
    return ntohs(address.sin_port);
}

static uint16_t held_in(uint8_t function, unsigned number)
{
    if (function == 3)
        return (uint16_t) number;
    return number % 2 ? (uint16_t) number : 0x4366;
}

/* The length of the answer; 0 for a request this server does not know. */
static size_t answer(const uint8_t *request, uint8_t *out)
{
    unsigned function = request[7], first = request[8] << 8 | request[9], count = request[10] << 8 | request[11];

    if ((function != 3 && function != 4) || count == 0 || count > COUNT_MAX)
        return 0;
    memcpy(out, request, 8);
    out[4] = 0;
    out[5] = (uint8_t) (3 + 2 * count);
    out[8] = (uint8_t) (2 * count);
    for (unsigned i = 0; i < count; i++) {
        uint16_t word = held_in(request[7], first + i);
        out[9 + 2 * i] = (uint8_t) (word >> 8);
        out[10 + 2 * i] = (uint8_t) word;
    }
    return 9 + 2 * count;
}

/* 0 when the connection is over. */
static int serve(int file)
{
    uint8_t out[PENDING_MAX / REQUEST * (9 + 2 * COUNT_MAX)], *bytes = files[file].bytes;
    ssize_t got = recv(file, bytes + files[file].held, PENDING_MAX - files[file].held, 0);
    size_t size = 0, at = 0;

    if (got <= 0)
        return 0;
    files[file].held += (size_t) got;
    for (; files[file].held - at >= REQUEST; at += REQUEST) {
        size_t length = answer(bytes + at, out + size);
        if (length == 0)
            return 0;
        size += length;
    }
    files[file].held -= at;
    memmove(bytes, bytes + at, files[file].held);
    return size == 0 || send(file, out, size, MSG_NOSIGNAL) == (ssize_t) size;
}

int main(int argc, char **argv)
{
    int ports = argc == 2 ? atoi(argv[1]) : 0, poll = epoll_create1(0), on = 1;
    struct epoll_event events[64];

    printf("ready");
    for (int i = 0; i < ports; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_on_any_port()};
        if (event.data.fd < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event))
            return 1;
        printf(" %u", port_of(event.data.fd));
    }
    printf("\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            int file = events[i].data.fd;
            if (!files[file].listens) {
                if (!serve(file))
                    close(file);
                continue;
            }
            struct epoll_event event = {.events = EPOLLIN, .data.fd = accept(file, NULL, NULL)};
            if (event.data.fd < 0 || event.data.fd >= FILES_MAX)
                return 1;
            files[event.data.fd].listens = 0;
            files[event.data.fd].held = 0;
            setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
        }
    }
}
