/* A Modbus RTU server of libmodbus for the tests of the driver: unit 1 on the serial line named by its argument, at
 * 19200 Bd without parity, until its input ends. Holding registers 0-199 hold their own address, coils 0-15 are on where
 * the address is odd.
 */
#include <modbus.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
    modbus_t *context = count == 2 ? modbus_new_rtu(arguments[1], 19200, 'N', 8, 1) : NULL;
    modbus_mapping_t *mapping = modbus_mapping_new(16, 16, 200, 20);

    if (context == NULL || mapping == NULL || modbus_set_slave(context, 1) || modbus_connect(context))
        return 1;
    for (int i = 0; i < 200; i++)
        mapping->tab_registers[i] = (uint16_t) i;
    for (int i = 0; i < 16; i++)
        mapping->tab_bits[i] = i % 2;
    puts("ready");
    fflush(stdout);

    struct pollfd watched[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = modbus_get_socket(context), .events = POLLIN}};
    while (poll(watched, 2, -1) >= 0 && !watched[0].revents) {
        int length = modbus_receive(context, query);
        if (length > 0)
            modbus_reply(context, query, length, mapping);
    }
    modbus_mapping_free(mapping);
    modbus_free(context);
    return 0;
}
