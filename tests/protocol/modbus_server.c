/* A Modbus TCP server of libmodbus for the tests of the driver: prints its port, then serves until its input ends.
 *
 * Holding registers 0-199 hold their own address, input registers 0-19 a tenth of it in float32 (ABCD, pairs), coils and
 * discrete inputs 0-15 are on where the address is odd. Any unit id is answered.
 */
#include <modbus.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

enum { CLIENTS_MAX = 8 };

int main(void)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *mapping = modbus_mapping_new(16, 16, 200, 20);
    struct pollfd watched[2 + CLIENTS_MAX];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int count = 2;

    if (context == NULL || mapping == NULL)
        return 1;
    for (int i = 0; i < 200; i++)
        mapping->tab_registers[i] = (uint16_t) i;
    for (int i = 0; i < 20; i += 2) {
        /* By hand: modbus_set_float_abcd of 3.1.6 writes 230.5 as 00 80 66 43 on a little-endian machine. */
        float value = (float) i / 10;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        mapping->tab_input_registers[i] = (uint16_t) (bits >> 16);
        mapping->tab_input_registers[i + 1] = (uint16_t) bits;
    }
    for (int i = 0; i < 16; i++)
        mapping->tab_bits[i] = mapping->tab_input_bits[i] = i % 2;

    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *) &address, size) || listen(listening, CLIENTS_MAX) ||
        getsockname(listening, (struct sockaddr *) &address, &size))
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    watched[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    watched[1] = (struct pollfd){.fd = listening, .events = POLLIN};
    while (poll(watched, (nfds_t) count, -1) >= 0 && !watched[0].revents) {
        for (int i = 2; i < count; i++) {
            if (!watched[i].revents)
                continue;
            modbus_set_socket(context, watched[i].fd);
            int length = modbus_receive(context, query);
            if (length > 0)
                modbus_reply(context, query, length, mapping);
            else if (length < 0) {
                close(watched[i].fd);
                watched[i--] = watched[--count];
            }
        }
        if (watched[1].revents && count < 2 + CLIENTS_MAX)
            watched[count++] = (struct pollfd){.fd = accept(listening, NULL, NULL), .events = POLLIN};
    }
    modbus_mapping_free(mapping);
    modbus_free(context);
    return 0;
}
