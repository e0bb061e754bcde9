/* The reference: libmodbus reads holding registers back to back over one connection.
 *
 * `modbus_client PORT REGISTERS WARM REQUESTS` prints a line `SECONDS CPU_SECONDS WRONG`, and a line of the nanoseconds
 * that each request took.
 */
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_S = 5 };

static int64_t now_ns(clockid_t clock)
{
    struct timespec at;

    clock_gettime(clock, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int registers = atoi(argv[2]), warm = atoi(argv[3]), requests = atoi(argv[4]), wrong = 0;
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    int64_t *took = calloc((size_t) requests, sizeof *took), began = 0, cpu = 0, last = 0;
    uint16_t words[MODBUS_MAX_READ_REGISTERS];

    if (context == NULL || took == NULL || modbus_set_response_timeout(context, TIMEOUT_S, 0) || modbus_connect(context))
        return 1;
    for (int i = -warm; i < requests; i++) {
        if (i == 0) {
            cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
            began = last = now_ns(CLOCK_MONOTONIC);
        }
        if (modbus_read_registers(context, 0, registers, words) != registers || words[registers - 1] != registers - 1)
            wrong++;
        if (i >= 0) {
            int64_t now = now_ns(CLOCK_MONOTONIC);
            took[i] = now - last;
            last = now;
        }
    }
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.9f %.9f %d\n", (double) (last - began) / 1e9, (double) cpu / 1e9, wrong);
    for (int i = 0; i < requests; i++)
        printf("%lld ", (long long) took[i]);
    printf("\n");
    modbus_close(context);
    modbus_free(context);
    return 0;
}
