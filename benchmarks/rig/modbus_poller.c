/* The reference: libmodbus polls many devices, one connection each, one after the other at the top of each period.
 *
 * `modbus_poller POINTS TURNS PERIOD_MS PORT...` reads so many float32 of each and prints a line `SECONDS CPU_SECONDS`
 * from the end of the first turn to the end of the last, and a line for each device with the moment of each answer.
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
    if (argc < 5)
        return 2;
    int points = atoi(argv[1]), turns = atoi(argv[2]), devices = argc - 4;
    int64_t period = atoi(argv[3]) * INT64_C(1000000), *stamps = calloc((size_t) (turns * devices), sizeof *stamps);
    modbus_t **contexts = calloc((size_t) devices, sizeof *contexts);
    uint16_t words[MODBUS_MAX_READ_REGISTERS];
    volatile float value;

    if (contexts == NULL || stamps == NULL)
        return 1;
    for (int i = 0; i < devices; i++) {
        contexts[i] = modbus_new_tcp("127.0.0.1", atoi(argv[4 + i]));
        if (contexts[i] == NULL || modbus_set_response_timeout(contexts[i], TIMEOUT_S, 0) || modbus_connect(contexts[i])) {
            perror("connect");
            return 1;
        }
    }
    int64_t due = now_ns(CLOCK_MONOTONIC), began = 0, cpu = 0;
    for (int turn = 0; turn < turns; turn++, due += period) {
        struct timespec at = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        for (int i = 0; i < devices; i++) {
            if (modbus_read_input_registers(contexts[i], 0, 2 * points, words) != 2 * points) {
                perror("read");
                return 1;
            }
            for (int point = 0; point < points; point++)
                value = modbus_get_float_abcd(words + 2 * point);
            stamps[turn * devices + i] = now_ns(CLOCK_MONOTONIC);
        }
        if (turn == 0) {
            began = now_ns(CLOCK_MONOTONIC);
            cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        }
    }
    (void) value;
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.9f %.9f\n", (double) (now_ns(CLOCK_MONOTONIC) - began) / 1e9, (double) cpu / 1e9);
    for (int i = 0; i < devices; i++) {
        for (int turn = 0; turn < turns; turn++)
            printf("%.9f ", (double) stamps[turn * devices + i] / 1e9);
        printf("\n");
    }
    return 0;
}
